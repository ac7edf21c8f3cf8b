import { join } from 'node:path';

import { refusals, verified } from './demo-gates.ts';
import { approve, commitChange, mergeBranch, pushBranch, pushTag } from './demo-moves.ts';
import type { Stage } from './demo-stage.ts';
import type { EnvironmentDetail } from './flow/view/environment.ts';
import { built, checkout, digestOf, environment, live, reached, short, urlOf, waitsForApproval } from './demo-watch.ts';

/** What the acts hand to each other. */
export interface Played {
  /** From the moment that somebody began to wait until `prod` ran its first release. */
  readonly firstProdMs: number;
}

/**
 * The whole story, from an empty installation: one artifact on its path, then what happens to bad ones. Each chapter shows
 * what a user types, waits for what Towpath makes of it by itself, and asserts it.
 */
export async function playStory(stage: Stage, folder: string, url: string): Promise<Played> {
  const managerToken = join(folder, 'manager.token');
  await opening(stage);
  const preview = await featureBranch(stage);
  await mix(stage, preview);
  await merge(stage, preview);
  const commit = await docsOnly(stage);
  await failingCheck(stage);
  await candidate(stage, commit);
  const firstProdMs = await version(stage, commit, managerToken, preview);
  await badRelease(stage, managerToken, preview);
  await yank(stage);
  await refusals(stage, managerToken);
  await verified(stage, folder, url);
  return { firstProdMs };
}

interface Tested {
  readonly branch: string;
  readonly commit: string;
  readonly web: string;
  readonly worker: string;
}

async function opening(stage: Stage): Promise<void> {
  await stage.chapter(
    'Watch a repository',
    'Its towpath.yaml says what to build, and the path: preview, dev, qa, demo, prod.',
  );
  await stage.towpath('project', 'add', stage.shop.url);
  stage.tell('main is built (web, worker: each in an image), its unit tests pass, and it goes to qa by itself.');
  const qa = await live(stage, 'qa', await stage.shop.git('rev-parse', 'main'));
  const seen = await checkout(qa);
  stage.expect(seen === 'Total: $9.00', 'two teas in qa to cost $9.00', seen);
  await stage.found(`qa runs main at ${urlOf(qa, 'web')}: two teas cost $9.00`);
}

async function featureBranch(stage: Stage): Promise<Tested> {
  const branch = 'feature/cheaper-tea';
  await stage.chapter('A branch gets a preview of its own', 'Ana makes tea cheaper, on a branch.');
  const commit = await pushBranch(stage, branch, 'cheaper-tea', 'Make tea cheaper');
  const preview = await live(stage, branch, commit);
  const seen = await checkout(preview);
  stage.expect(seen === 'Total: $8.00', 'two teas in the preview to cost $8.00', seen);
  const [web, worker] = [digestOf(preview, 'web'), digestOf(preview, 'worker')];
  const qa = await environment(stage, 'qa');
  stage.expect(
    worker === digestOf(qa, 'worker'),
    'the worker not to be built again',
    `${worker}, not ${digestOf(qa, 'worker')}`,
  );
  await stage.found(`the preview is at ${urlOf(preview, 'web')}: two teas cost $8.00`);
  stage.tell(`web is ${short(web)}. The worker did not change, so it is not built again: ${short(worker)}.`);
  return { branch, commit, web, worker };
}

async function mix(stage: Stage, preview: Tested): Promise<void> {
  await stage.chapter(
    'A mix of branches',
    'dev takes any service from any branch: here web from the branch, all else from main.',
  );
  const { code } = await stage.towpath('promote', 'main', 'dev', '--from', `web=${preview.branch}`, '--wait');
  stage.expect(code === 0, 'the mix to go live', `exit code ${code}`);
  const dev = await environment(stage, 'dev');
  stage.expect(digestOf(dev, 'web') === preview.web, `dev to run web ${short(preview.web)}`, digestOf(dev, 'web'));
  await stage.found(`dev runs the web of the branch, ${short(preview.web)}, at ${urlOf(dev, 'web')}`);
}

async function merge(stage: Stage, preview: Tested): Promise<void> {
  await stage.chapter(
    'Merged, and still the same image',
    'qa takes what is merged into main, if it is the image that was tested.',
  );
  const commit = await mergeBranch(stage, preview.branch);
  const qa = await live(stage, 'qa', commit);
  for (const service of ['web', 'worker'] as const)
    stage.expect(
      digestOf(qa, service) === preview[service],
      `qa to run ${service} ${short(preview[service])}`,
      digestOf(qa, service),
    );
  stage.tell(`preview: web ${preview.web}`);
  stage.tell(`qa:      web ${digestOf(qa, 'web')}`);
  await stage.found('the same digest, and nothing was built');
}

async function docsOnly(stage: Stage): Promise<string> {
  await stage.chapter(
    'A commit that only changes the README',
    'Nothing is built for it, and it can be promoted all the same.',
  );
  const before = await environment(stage, 'qa');
  const commit = await commitChange(stage, 'readme-only', 'Say more in the README');
  await stage.git('push', '--quiet');
  const release = await built(stage, commit);
  stage.expect(
    release.services.every(({ reused }) => reused),
    'every artifact to be reused',
    'a build',
  );
  const qa = await live(stage, 'qa', commit);
  const [was, is] = [digestOf(before, 'web'), digestOf(qa, 'web')];
  stage.expect(was === is, `qa to keep ${short(was)}`, is);
  await stage.found(`qa runs ${commit.slice(0, 7)}, with the image that was there: ${short(is)}`);
  return commit;
}

async function failingCheck(stage: Stage): Promise<void> {
  const branch = 'feature/simple-total';
  await stage.chapter(
    'A change that fails its check',
    'The tenth tea is no longer free, and a test knows: so there is no image to deploy.',
  );
  const commit = await pushBranch(stage, branch, 'broken-total', 'Simplify the total');
  const release = await built(stage, commit);
  stage.expect(release.state === 'failed', 'the release to fail', release.state);
  const { stdout } = await stage.towpath('why', branch);
  stage.expect(/check "unit" failed/.test(stdout), '`why` to name the check that failed', stdout);
  const { code } = await stage.towpath('promote', branch, 'dev', '--dry-run');
  stage.expect(code === 3, 'a promotion of it to be refused (exit code 3)', `exit code ${code}`);
  await stage.git('switch', '--quiet', 'main');
  await stage.found('no artifact, and the reason is told');
}

async function candidate(stage: Stage, commit: string): Promise<void> {
  await stage.chapter('A release candidate', 'A tag rc-* takes what qa has seen to demo.');
  await pushTag(stage, 'rc-1');
  const demo = await live(stage, 'demo', commit);
  if (stage.shop.manifests === null) {
    const isSeen = demo.services.every(({ observed }) => observed);
    stage.expect(isSeen, 'all of demo to be seen running', 'what nobody saw');
    await stage.found(`demo runs rc-1 ${whereOf(demo)}`);
    return;
  }
  const change = await stage.git(`--git-dir=${stage.shop.manifests}`, 'log', '-1', '-p', '--format=%an: %B');
  for (const line of change.split('\n').filter((one) => /^(?:[^ @di-]|[+-] )/.test(one))) stage.tell(`  ${line}`);
  stage.expect(change.includes(digestOf(demo, 'web')), 'the digest of web to be written', change);
  await stage.found('the manifests of demo name the images of rc-1, and nothing else of them changed');
}

/** A cluster has addresses that Towpath does not know, and each of its pods says what it runs. */
function whereOf(detail: EnvironmentDetail): string {
  const url = detail.services.find(({ service }) => service === 'web')?.url ?? null;
  return url === null ? `in the cluster: every pod of web says ${short(digestOf(detail, 'web'))}` : `at ${url}`;
}

async function version(stage: Stage, commit: string, managerToken: string, tested: Tested): Promise<number> {
  await stage.chapter(
    'A version goes to prod',
    'A tag v* waits until a release manager approves, who is not its author.',
  );
  await pushTag(stage, 'v1.0.0');
  await waitsForApproval(stage, 'prod', commit);
  await stage.towpath('why', 'prod');
  await stage.towpathInto(managerToken, 'token', 'create', '--user', 'manager', '--role', 'approver', '--quiet');
  const { code } = await approve(stage, managerToken);
  stage.expect(code === 0, 'the approved promotion to go live (exit code 0)', `exit code ${code}`);
  const prod = await live(stage, 'prod', commit);
  const firstProdMs = stage.elapsedMs();
  stage.expect(digestOf(prod, 'web') === tested.web, `prod to run ${short(tested.web)}`, digestOf(prod, 'web'));
  const seen = await checkout(prod);
  stage.expect(seen === 'Total: €8.00', 'two teas in prod to cost €8.00', seen);
  stage.tell(`branch: web ${tested.web}`);
  stage.tell(`prod:   web ${digestOf(prod, 'web')}`);
  await stage.found(`prod is at ${urlOf(prod, 'web')}: the image of the branch, now in euro`);
  await stage.found(`from nothing to prod took ${(firstProdMs / 1000).toFixed(1)} s`);
  return firstProdMs;
}

async function badRelease(stage: Stage, managerToken: string, tested: Tested): Promise<void> {
  const branch = 'feature/own-currency-table';
  await stage.chapter(
    'A bad release comes back by itself',
    'It passes every test, qa and demo. But it knows no euro, and only prod sells in euro.',
  );
  const head = await pushBranch(stage, branch, 'own-currency-table', 'Keep our own table of currencies');
  await live(stage, branch, head);
  const commit = await mergeBranch(stage, branch);
  await live(stage, 'qa', commit);
  await pushTag(stage, 'rc-2');
  await live(stage, 'demo', commit);
  await pushTag(stage, 'v1.1.0');
  await waitsForApproval(stage, 'prod', commit);
  const { code } = await approve(stage, managerToken);
  stage.expect(code === 1, 'the promotion to fail (exit code 1)', `exit code ${code}`);
  await reached(stage, 'prod', commit, 'rolled-back');
  const prod = await environment(stage, 'prod');
  stage.expect(digestOf(prod, 'web') === tested.web, `prod to run ${short(tested.web)} again`, digestOf(prod, 'web'));
  const seen = await checkout(prod);
  stage.expect(seen === 'Total: €8.00', 'two teas in prod to cost €8.00 again', seen);
  stage.expect(prod?.hold !== null, 'prod to be on hold', 'no hold');
  const { stdout } = await stage.towpath('why', 'prod');
  stage.expect(
    /On hold since/.test(stdout) && /smoke/.test(stdout),
    '`why` to explain the hold by the smoke check',
    stdout,
  );
  await stage.found(`prod runs ${short(tested.web)} again, and nothing moves in until somebody says so`);
}

async function yank(stage: Stage): Promise<void> {
  await stage.chapter('A yank', 'What is known to be bad is barred everywhere, also where it still runs.');
  const { code } = await stage.towpath('yank', 'v1.1.0', '--reason', 'knows no euro');
  stage.expect(code === 0, 'the release to be yanked', `exit code ${code}`);
  const refused = await stage.towpath('promote', 'v1.1.0', 'dev', '--dry-run');
  stage.expect(refused.code === 3, 'its promotion to be refused (exit code 3)', `exit code ${refused.code}`);
  stage.expect(/knows no euro/.test(refused.stdout), 'the refusal to name the reason', refused.stdout);
  await stage.found('refused with the reason; `towpath unyank v1.1.0` lifts it');
}
