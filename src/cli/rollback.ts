import { showAnswer, type WaitOptions } from './promotion-answer.ts';
import { duration, needs, type Verb } from './verb.ts';

interface Options extends WaitOptions {
  readonly to?: string;
  readonly reason?: string;
  readonly dryRun?: boolean;
}

export const rollback: Verb = (program, run) => {
  program
    .command('rollback')
    .description('bring the release before this one back, ahead of everything else, and hold the environment')
    .argument('<environment>', 'which one steps back')
    .option('--to <release>', 'another earlier release')
    .option('--reason <text>', 'shown beside the hold')
    .option('--dry-run', 'only ask whether it can')
    .option('--wait', 'until it is live, or has ended otherwise')
    .option('--timeout <duration>', 'how long to wait, such as 10m', duration)
    .addHelpText('after', needs('environment.rollback'))
    .action(
      run<Options>(async (context, { to, reason, dryRun, ...options }, environment = '') => {
        const client = await context.client();
        const project = await context.project();
        const body = { ...(to && { to }), ...(reason && { reason }), ...(dryRun && { dryRun }) };
        const answer = await client.call('environment.rollback', { params: { project, environment }, body });
        return showAnswer(context, answer, options);
      }),
    );
};
