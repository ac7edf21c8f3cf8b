import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { type FaultRegistry, startFaultRegistry } from './testing/fault-registry.ts';
import { createRepository, type TestRepository } from './testing/repository.ts';
import { startServer, type TestServer, until } from './testing/server.ts';
import { program, smallShop } from './testing/small-shop.ts';
import { ifMissing, type Story, storyOf } from './testing/story.ts';

let server: TestServer;
let repository: TestRepository;
let registry: FaultRegistry;
let story: Story;
const project = 'based-shop';

beforeAll(async () => {
  [server, repository, registry] = await Promise.all([startServer(), createRepository(), startFaultRegistry()]);
  const first = await repository.commit('On the usual base', smallShop({ project }));
  await server.client.call('project.add', { body: { url: repository.url } });
  story = storyOf(server, project);
  await story.release(first, 'ready'); // a branch that the first listing already shows would not be taken in
}, 180_000);

afterEach(() => {
  registry.fault = () => null;
});

afterAll(async () => {
  await server.dispose();
  await Promise.all([repository.remove(), registry.close()]);
});

test('a base image that is not there leaves a release that says so; `towpath build` looks again', async () => {
  const commit = await pushOnBase('topic/base', 'first');
  const failed = await story.release(commit, 'failed');
  expect(failed.problem?.what).toContain(`${registry.host}/bases/node:1`);
  expect((await server.cli('why', commit.slice(0, 10))).stdout).toContain('is not in its registry');
  await registry.push('bases/node', '1');
  expect(await server.cli('build', commit.slice(0, 10))).toMatchObject({ code: 0 });
  const ready = await story.release(commit, 'ready');
  expect(ready.id).toBe(failed.id);
  expect(ready.services.map(({ state }) => state)).toEqual(['built']);
}, 120_000);

test('a registry that answers 500 for a while delays a build and does not fail it', async () => {
  let failures = 3;
  registry.fault = () => (failures-- > 0 ? 500 : null);
  await story.release(await pushOnBase('topic/busy', 'in spite of it'), 'ready');
  expect(failures).toBeLessThan(0);
});

test('a failed build leaves a release that says so and cannot be promoted; `towpath build` builds it again', async () => {
  registry.fault = () => 404;
  const commit = await pushOnBase('topic/lost', 'not yet');
  const failed = await story.release(commit, 'failed');
  expect(failed.problem).toMatchObject({ code: 'release.build-failed' });
  const name = commit.slice(0, 10);
  const refused = await server.cli('promote', name, 'qa', '--wait');
  expect(refused.code).toBe(3);
  expect(`${refused.stdout}${refused.stderr}`).toContain('has no artifact');
  registry.fault = () => null;
  expect(await server.cli('build', name)).toMatchObject({ code: 0 });
  const ready = await story.release(commit, 'ready');
  expect(ready).toMatchObject({ id: failed.id, problem: null });
  expect((await server.cli('logs', name)).stdout).toContain('Built sha256:');
});

test('a build is asked again when its check changed, or only a test of it, and gives the same image', async () => {
  const run = 'services/web/test/run.js';
  const wrong = await pushChecked({ [run]: 'process.exit(1);' }, 'node test/run.js');
  expect((await story.release(wrong, 'failed')).problem?.what).toContain('the check "unit" failed');
  const mended = await repository.commit('Mend the test', { [run]: '' });
  const built = await story.release(mended, 'ready');
  const spoilt = await repository.commit('Spoil the test', { [run]: 'process.exit(2);' });
  expect((await story.release(spoilt, 'failed')).problem?.what).toContain('exit code 2');
  const { 'towpath.yaml': config = null } = checkedShop('node --check main.js');
  const other = await repository.commit('Ask nothing', { 'towpath.yaml': config });
  const asked = await story.release(other, 'ready');
  expect(asked.services[0]?.digest).toBe(built.services[0]?.digest);
}, 120_000);

test('the log of a build is followed while it runs, and following ends with it', async () => {
  const gate = holdBuilds();
  const commit = await pushOnBase('topic/slow', 'slowly');
  const release = await story.release(commit, 'building');
  const following = server.cli('logs', commit.slice(0, 10), '--follow');
  const lines: string[] = [];
  const stream = server.client.stream(
    'log.follow',
    { params: { log: release.services[0]?.logId ?? '' }, query: {} },
    new AbortController().signal,
  );
  for await (const { data } of stream) {
    const batch = data as { lines: string[]; ended: boolean };
    lines.push(...batch.lines);
    if (lines.length > 0) gate.open();
    if (batch.ended) break;
  }
  expect(lines[0]).toMatch(/^Building web of [0-9a-f]{7} with node/);
  expect(lines.at(-1)).toMatch(/^Built sha256:/);
  expect((await following).stdout.trim().split('\n')).toEqual(lines);
});

test('a branch that is deleted during its build gets no preview, and its build ends', async () => {
  const gate = holdBuilds();
  const commit = await pushOnBase('feature/short-lived', 'briefly');
  await story.release(commit, 'building');
  await gate.reached;
  await repository.git('switch', '--quiet', 'main');
  await repository.git('branch', '--quiet', '--delete', '--force', 'feature/short-lived');
  await server.client.call('project.refresh', { params: { project } });
  await told('ref.deleted', 'refs/heads/feature/short-lived');
  gate.open();
  const release = await story.release(commit, 'ready');
  const { promotions } = await server.client.call('release.show', { params: { project, release: release.id } });
  expect(promotions).toEqual([]);
  // the branch may have been seen before its commit: then it had a preview of what it began at, which ends with it
  await until(async () => ((await story.environment('feature/short-lived').catch(ifMissing)) === null ? true : null));
});

/** A commit on a branch of its own, whose tests stay out of the image. */
async function pushChecked(files: Record<string, string>, run: string): Promise<string> {
  await repository.git('switch', '--quiet', '--create', 'topic/checked', 'main');
  return repository.commit('With a test', { ...checkedShop(run), ...files });
}

function checkedShop(run: string): Record<string, string> {
  return smallShop({
    project,
    node: '{ start: main.js, exclude: [/test] }',
    service: [`checks: { unit: { run: ${run}, during: build } }`],
  });
}

/** A commit on a branch of its own, built upon the image in the other registry. */
async function pushOnBase(branch: string, says: string): Promise<string> {
  await repository.git('switch', '--quiet', '--create', branch, 'main');
  const files = smallShop({ project, node: `{ start: main.js, from: '${registry.host}/bases/node:1' }` });
  return repository.commit(`Say ${says}`, { ...files, 'services/web/main.js': program(says) });
}

/** Builds wait for their base until the gate is open. */
function holdBuilds(): { reached: Promise<void>; open(): void } {
  let open = (): void => undefined;
  let reach = (): void => undefined;
  const opened = new Promise<null>((resolve) => {
    open = () => resolve(null);
  });
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  registry.fault = () => {
    reach();
    return opened;
  };
  return { reached, open };
}

/** Waits for an event of the project. */
async function told(kind: string, subject: string): Promise<void> {
  const stop = new AbortController();
  const stream = server.client.stream('event.follow', { query: { after: '0' } }, stop.signal);
  for await (const { data } of stream) {
    const event = data as { kind: string; subject: string };
    if (event.kind === kind && event.subject === subject) break;
  }
  stop.abort();
}
