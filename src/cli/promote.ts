import { showAnswer, type WaitOptions } from './promotion-answer.ts';
import { collectServices, duration, needs, type Verb } from './verb.ts';

interface Options extends WaitOptions {
  readonly from?: Record<string, string>;
  readonly dryRun?: boolean;
}

export const promote: Verb = (program, run) => {
  program
    .command('promote')
    .description('bring a release into an environment')
    .argument('<release>', 'id, number (#12), commit, branch or tag')
    .argument('<environment>', 'where it shall run')
    .option('--from <service=release>', 'take this service from another release; may be repeated', collectServices)
    .option('--dry-run', 'only ask what the policy would say')
    .option('--wait', 'until it is live, or has ended otherwise')
    .option('--timeout <duration>', 'how long to wait, such as 10m', duration)
    .addHelpText('after', needs('promotion.request'))
    .action(
      run<Options>(async (context, { from, dryRun, ...options }, release = '', environment = '') => {
        const client = await context.client();
        const project = await context.project();
        const body = { release, ...(from && { services: from }), ...(dryRun && { dryRun }) };
        const answer = await client.call('promotion.request', { params: { project, environment }, body });
        return showAnswer(context, answer, options);
      }),
    );
};
