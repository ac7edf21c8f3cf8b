import { join } from 'node:path';

import { approve, commitChange, mergeBranch, pushBranch, pushTag } from './demo-moves.ts';
import type { Stage } from './demo-stage.ts';
import { checkout, digestOf, environment, live, PROJECT, reached, waitsForApproval } from './demo-watch.ts';

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
  await answered(stage, 'rc-3', 'demo');
  const { stdout } = await stage.towpath('why', 'rc-3', 'demo');
  for (const [words, what] of REASONS) stage.expect(words.test(stdout), `\`why\` to name ${what}`, stdout);
  await stage.found('nothing came into demo, and each reason says what to do');

  await stage.chapter('What was asked for is done', 'The same gates, asked anew of what changed.');
  await stage.git('switch', '--quiet', branch);
  const mended = await commitChange(
    stage,
    'gift-wrap-mended',
    'Test the wrapping of gifts, and read prices by a safe ini',
  );
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
  await waitsForApproval(stage, 'prod', commit);
  await stage.towpath('reject', 'prod', '--comment', 'not on a Friday', '--token-file', managerToken);
  await reached(stage, 'prod', commit, 'refused');
  const no = await stage.towpath('why', 'prod');
  stage.expect(/not on a Friday/.test(no.stdout), '`why` to tell what the manager said', no.stdout);
  await stage.towpath('promote', 'v1.2.0', 'prod');
  await waitsForApproval(stage, 'prod', commit);
  const { code } = await approve(stage, managerToken);
  stage.expect(code === 0, 'the approved promotion to go live (exit code 0)', `exit code ${code}`);
  const prod = await environment(stage, 'prod');
  stage.expect(prod?.current?.commit === commit, 'prod to run v1.2.0', prod?.current?.commit ?? 'nothing');
  const seen = await checkout(prod);
  stage.expect(seen === 'Total: €8.00', 'two teas in prod to cost €8.00', seen);
  await stage.found('prod runs v1.2.0');
}

/** What was found and decided lies beside the image, signed: whoever has the registry and the key needs nobody's word. */
export async function verified(stage: Stage, folder: string, url: string): Promise<void> {
  await stage.chapter('Anybody can check it', 'With the image and the public key alone: no server is asked.');
  const keys = join(folder, 'keys.json');
  await stage.towpathInto(keys, 'key', 'export', '--json');
  const digest = digestOf(await environment(stage, 'prod'), 'web');
  const words = ['verify', `${new URL(url).host}/${PROJECT}/web@${digest}`, '--for', 'prod', '--key', keys];
  await stage.until(
    'all that was signed to lie beside the image',
    async () => ((await stage.quietly(...words)).code === 0 ? true : null),
    async () => (await stage.quietly(...words)).stdout,
  );
  await stage.towpath(...words);
  await stage.found('allowed, by what is signed');
}

/** What `why` says of each gate that refuses. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/src\/gift\.js/, 'the lines that no test runs'],
  [/ini@1\.3\.5/, 'the package that is vulnerable'],
  [/the price of coffee in cents/, 'what the worker expects of web'],
];

/** The first refusal ends a promotion; what else was asked has its answer a moment later. */
async function answered(stage: Stage, subject: string, environment: string): Promise<void> {
  const told = async (): Promise<string> =>
    JSON.stringify(
      await stage.client.call('path.why', { params: { project: PROJECT }, query: { subject, environment } }),
    );
  await stage.until(
    `every gate of ${environment} to have its answer`,
    async () => {
      const text = await told();
      return REASONS.every(([words]) => words.test(text)) ? true : null;
    },
    told,
  );
}
