import type { InitOptions } from './without-server/init.ts';
import type { Verb } from './verb.ts';

export const init: Verb = (program, run) => {
  program
    .command('init')
    .description('write a first towpath.yaml for a repository, from what is in it')
    .argument('[folder]', 'the root of a git repository', '.')
    .option('--yes', 'ask nothing, also at a terminal')
    .option('--force', 'write over the one that is there')
    .option('--stdout', 'print it and write nothing')
    .action(
      run<InitOptions>(async (context, options, folder = '.') =>
        (await import('./without-server/init.ts')).writeFirst(context, options, folder),
      ),
    );
};
