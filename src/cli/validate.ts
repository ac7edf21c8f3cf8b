import { collect, type Verb } from './verb.ts';
import type { ValidateOptions } from './without-server/validate.ts';

export const validate: Verb = (program, run) => {
  program
    .command('validate')
    .description('read a towpath.yaml as the server will, and say what is wrong with it; needs no server')
    .argument('[path]', 'the file, or the folder that has it', '.')
    .option(
      '--driver <file>',
      'the file of a driver that the server has besides; may be repeated (TOWPATH_DRIVERS)',
      collect,
      [],
    )
    .option('--schema', 'print the JSON Schema of towpath.yaml, with the settings of these drivers')
    .action(
      run<ValidateOptions>(async (context, options, path = '.') =>
        (await import('./without-server/validate.ts')).validateFile(context, options, path),
      ),
    );
};
