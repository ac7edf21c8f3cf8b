import { EXIT } from './exit.ts';
import { diffText } from './promotion-answer.ts';
import { needs, type Verb } from './verb.ts';

export const diff: Verb = (program, run) => {
  program
    .command('diff')
    .description('show what differs between two environments or releases')
    .argument('<from>', 'an environment or a release')
    .argument('<to>', 'an environment or a release')
    .option('--exit-code', 'exit with 1 when they differ, as `git diff` does')
    .addHelpText('after', needs('path.diff'))
    .action(
      run<{ exitCode?: boolean }>(async (context, { exitCode = false }, from = '', to = '') => {
        const client = await context.client();
        const params = { project: await context.project() };
        const answer = await client.call('path.diff', { params, query: { from, to } });
        context.out.data(answer, diffText);
        return exitCode && answer.services.some(({ same }) => !same) ? EXIT.failed : EXIT.ok;
      }),
    );
};
