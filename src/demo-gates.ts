import { approve, commitChange, mergeBranch, pushBranch, pushTag } from './demo-moves.ts';
import type { Stage } from './demo-stage.ts';
import { checkout, environment, live, reached } from './demo-watch.ts';

/** A release that four gates refuse, one after the other or at once; `why` tells each in plain words, and what clears it. */
export async function refusals(stage: Stage, managerToken: string): Promise<void> {
  const branch = 'feature/gift-wrap';
  await stage.chapter(
    'Gates that say no, and why',
    'Ana knows euro again, and wraps gifts. The tests pass, and qa takes it; demo wants more.',
  );
  await live(stage, branch, await pushBranch(stage, branch, 'gift-wrap', 'Know euro again, and wrap gifts'));
  const refused = await mergeBranch(stage, branch);
  await live(stage, 'qa', refused);
  await pushTag(stage, 'rc-3');
  await reached(stage, 'demo', refused, 'refused');
  const why = await stage.towpath('why', 'demo');
  stage.expect(/src\/gift\.js/.test(why.stdout), '`why` to name the lines that no test runs', why.stdout);
  await stage.found('nothing came into demo, and each reason says what to do');

  await stage.chapter('What was asked for is done', 'The same gates, asked anew of what changed.');
  await stage.git('switch', '--quiet', branch);
  const mended = await commitChange(stage, 'gift-wrap-tested', 'Test the wrapping of gifts');
  await stage.git('push', '--quiet', 'origin', branch);
  await live(stage, branch, mended);
  const commit = await mergeBranch(stage, branch);
  await live(stage, 'qa', commit);
  await pushTag(stage, 'rc-4');
  await live(stage, 'demo', commit);
  await stage.found('demo runs rc-4');

  await stage.chapter('A person says no', 'prod moves again. The manager looks, and would rather wait.');
  await stage.towpath('resume', 'prod');
  await pushTag(stage, 'v1.2.0');
  await reached(stage, 'prod', commit, 'waiting');
  await stage.towpath('reject', 'prod', '--comment', 'not on a Friday', '--token-file', managerToken);
  await reached(stage, 'prod', commit, 'refused');
  const no = await stage.towpath('why', 'prod');
  stage.expect(/not on a Friday/.test(no.stdout), '`why` to tell what the manager said', no.stdout);
  await stage.towpath('promote', 'v1.2.0', 'prod');
  await reached(stage, 'prod', commit, 'waiting');
  const { code } = await approve(stage, managerToken);
  stage.expect(code === 0, 'the approved promotion to go live (exit code 0)', `exit code ${code}`);
  const prod = await environment(stage, 'prod');
  stage.expect(prod?.current?.commit === commit, 'prod to run v1.2.0', prod?.current?.commit ?? 'nothing');
  const seen = await checkout(prod);
  stage.expect(seen === 'Total: €8.00', 'two teas in prod to cost €8.00', seen);
  await stage.found('prod runs v1.2.0');
}
