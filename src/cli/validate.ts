import type { Verb } from './verb.ts';

export const validate: Verb = (program, run) => {
  program
    .command('validate')
    .description('read a towpath.yaml as the server will, and say what is wrong with it; needs no server')
    .argument('[path]', 'the file, or the folder that has it', '.')
    .action(
      run(async (context, _options, path = '.') =>
        (await import('./without-server/validate.ts')).validateFile(context, path),
      ),
    );
};
