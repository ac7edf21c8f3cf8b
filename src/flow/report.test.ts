import { afterAll, beforeAll, expect, test } from 'vitest';

import { debianRegistryHost } from '../../tools/test-machine/machine.ts';
import { GIVEN_UP, recordGivenUp } from '../artifact/given-up-store.ts';
import { type Digest, sha256 } from '../lib/digest.ts';
import { createRegistryClient } from '../registry/client/client.ts';
import type { Registry } from '../registry/registry.ts';
import { pushBlob, pushImage, type TestImage, testImage, testIndex, testReferrer } from '../registry/testing/images.ts';
import { failReady } from '../release/release-store.ts';
import { careForReports } from './care/reports.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';
import type { ReportRequest } from './use-cases.ts';
import type { ReportView } from './view/report.ts';
import type { ReleaseView } from './view/release.ts';

const PROJECT = 'elsewhere';
const TEAM = `team-${process.pid}`;

let world: World;
let outside: Registry;
let image: string;
let first: string;

beforeAll(async () => {
  outside = createRegistryClient({ host: await debianRegistryHost() });
  image = `${outside.host}/${TEAM}/web`;
  const config = (services: string): string => `
services:
  api: { path: services/api, build: text }${services}
environments:
  dev: { on: { merge: main }, deploy: stage }
  qa: { on: manual, deploy: stage }
`;
  world = await createWorld(PROJECT, config(''), { says: { api: 'api' } });
  await world.live('dev', await world.git('rev-parse', 'main'));
  const web = `\n  web: { path: services/web, build: { external: { image: "${image}", exclude: ["*.md"], wait: 2h } } }`;
  first = await world.push({
    says: { web: 'one' },
    files: { 'towpath.yaml': `project: ${PROJECT}\n${config(web)}` },
  });
}, 120_000);
afterAll(() => world.end());

test('a release waits for its report and says so; a report brings the image here whole, and it goes its way', async () => {
  const waiting = await released(first, 'building');
  const command = `towpath artifact report --service web --commit ${first} --digest sha256:...`;
  const why = await world.useCases.why(PROJECT, first);
  expect(why.reasons).toMatchObject([{ gate: 'artifact', until: expect.stringMatching(/^20/) as string }]);
  expect(why.reasons[0]?.what).toContain(command);
  expect((await world.useCases.why(PROJECT, 'dev')).reasons[0]?.what).toContain(command);
  const { projects } = await world.useCases.matrix(PROJECT);
  expect(projects[0]?.unready).toMatchObject([{ problem: { what: expect.stringContaining(command) as string } }]);
  const asked = await world.request('qa', first);
  expect((await world.says(asked.id, command)).state).toBe('waiting');
  expect(await world.engine.state(`build:${keyOf(waiting)}:1`)).toEqual({ kind: 'missing' });

  const built = await pushed('one');
  await pushBlob(outside, `${TEAM}/web`, Buffer.from('{}'));
  await outside.putManifest(`${TEAM}/web`, 'sbom', testReferrer(built, 'application/spdx+json', 'what is in it'));
  const made = await report({ commit: first, digest: built.digest });
  expect(made).toMatchObject({ state: 'checking', by: 'ci-shop', service: 'web' });
  expect(await ended(made)).toMatchObject({ state: 'accepted', image, key: keyOf(waiting), problem: null });
  await world.live('dev', first);
  await world.reaches(asked.id, 'live');
  expect((await world.environment('dev')).services).toMatchObject([{}, { service: 'web', digest: built.digest }]);
  const { story } = await world.useCases.why(PROJECT, 'dev');
  expect(story[0]?.what).toBe(`"web" reported by ci-shop for commit ${first.slice(0, 7)}`);

  const here = world.house.registry;
  for (const blob of [built.config, ...built.layers])
    expect(await here.hasBlob(`${PROJECT}/web`, sha256(blob))).toBe(blob.length);
  expect(await here.referrers(`${PROJECT}/web`, built.digest)).toMatchObject([
    { artifactType: 'application/spdx+json' },
  ]);
  const { artifacts } = await world.useCases.lineage(PROJECT, first);
  expect(artifacts.find(({ service }) => service === 'web')).toMatchObject({
    digest: built.digest,
    reported: { by: 'ci-shop', commit: first, image, provenance: null },
  });
  expect(await world.useCases.audit.list({ limit: 1, subject: PROJECT })).toMatchObject({
    items: [{ actor: 'ci-shop', action: 'artifact.report', detail: { service: 'web', commit: first } }],
  });
});

test('the first digest of a commit stands: the same again is the same report, another is refused with what stands', async () => {
  const [stands] = await world.useCases.reports.list(PROJECT);
  const { digest, id } = stands ?? expect.fail('There is no report.');
  expect(await report({ commit: first, digest })).toMatchObject({ id, state: 'accepted' });
  const other = (await pushed('another')).digest;
  await expect(report({ commit: first, digest: other })).rejects.toMatchObject({
    code: 'artifact.report-conflict',
    what: expect.stringContaining(`is ${digest}, reported by ci-shop at 20`) as string,
  });

  // a change of what does not go in has the artifact that there is, and the same rule
  const docs = await world.push({ files: { 'services/web/README.md': 'read me' } });
  expect((await released(docs, 'ready')).services.find(({ service }) => service === 'web')?.digest).toBe(digest);
  expect(await ended(await report({ commit: docs, digest }))).toMatchObject({ state: 'accepted' });
  const more = await world.push({ files: { 'services/web/b.md': '' } });
  await released(more, 'ready');
  await expect(report({ commit: more, digest: other })).rejects.toMatchObject({
    code: 'artifact.report-conflict',
    what: expect.stringContaining('which has the same files') as string,
  });
});

test('two who report the same at once have one report; of two digests at once one stands', async () => {
  const same = await world.push({ says: { web: 'same' } });
  await released(same, 'building');
  const { digest } = await pushed('same');
  const twice = await Promise.all([report({ commit: same, digest }), report({ commit: same, digest })]);
  expect(new Set(twice.map(({ id }) => id)).size).toBe(1);
  expect(await ended(twice[0])).toMatchObject({ state: 'accepted' });

  const race = await world.push({ says: { web: 'race' } });
  await released(race, 'building');
  const digests = [(await pushed('race 1')).digest, (await pushed('race 2')).digest];
  const racing = await Promise.allSettled(digests.map((one) => report({ commit: race, digest: one })));
  const accepted = racing.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  expect(accepted).toHaveLength(1);
  const ready = await released(race, 'ready');
  expect(ready.services.find(({ service }) => service === 'web')?.digest).toBe(accepted[0]?.digest);
});

test('what is not there, for another platform, in another place or of another commit is refused, and may come right', async () => {
  const commit = await world.push({ says: { web: 'wrong' } });
  await released(commit, 'building');
  const missing = sha256('nobody pushed this');
  expect(await ended(await report({ commit, digest: missing }))).toMatchObject({
    state: 'refused',
    problem: { code: 'artifact.image-missing' },
  });
  const why = await world.useCases.why(PROJECT, commit);
  expect(why.reasons.map(({ what }) => what)).toContainEqual(expect.stringContaining(`has no ${missing}`));

  const arm = JSON.parse((await testImage([{ arm: 'x' }])).config.toString('utf8')) as Record<string, unknown>;
  const other = await pushed('for arm', { ...arm, architecture: 'arm64' });
  expect(await ended(await report({ commit, digest: other.digest }))).toMatchObject({
    problem: { code: 'registry.image-unfit' },
  });
  const built = await pushed('right');
  expect(await ended(await report({ commit, digest: built.digest, image: `${outside.host}/other/web` }))).toMatchObject(
    {
      problem: { code: 'artifact.image-elsewhere' },
    },
  );
  const provenance = JSON.stringify(statement(built.digest, first));
  expect(await ended(await report({ commit, digest: built.digest, provenance }))).toMatchObject({
    problem: { code: 'artifact.provenance-of-another', what: expect.stringContaining(first) as string },
  });
  await expect(report({ commit, digest: built.digest, provenance: '{}' })).rejects.toMatchObject({
    code: 'artifact.provenance-malformed',
  });
  await expect(report({ commit, digest: built.digest, service: 'api' })).rejects.toMatchObject({
    code: 'artifact.built-here',
  });
  await expect(report({ commit, digest: built.digest, service: 'wob' })).rejects.toMatchObject({
    code: 'artifact.service-unknown',
  });
  expect((await released(commit, 'building')).state).toBe('building');

  const right = JSON.stringify(statement(built.digest, commit));
  expect(await ended(await report({ commit, digest: built.digest, provenance: right }))).toMatchObject({
    state: 'accepted',
  });
  const { artifacts } = await world.useCases.lineage(PROJECT, commit);
  expect(artifacts.find(({ service }) => service === 'web')?.reported?.provenance).toEqual({
    builder: 'https://ci.example/runner',
    sources: [{ uri: 'git+https://git.example/shop@refs/heads/main', commit }],
    signed: false,
  });
});

test('an index is taken whole, and provenance about one of its images counts', async () => {
  const commit = await world.push({ says: { web: 'index' } });
  const [amd, arm] = [await pushed('amd'), await pushed('arm')];
  const index = testIndex([amd, arm]);
  await outside.putManifest(`${TEAM}/web`, index.digest, index);
  const provenance = JSON.stringify(statement(amd.digest, commit));
  const made = await report({ commit, digest: index.digest, provenance });
  expect(await ended(made)).toMatchObject({ state: 'accepted' });
  for (const { digest } of [index, amd, arm])
    expect((await world.house.registry.manifest(`${PROJECT}/web`, digest))?.digest).toBe(digest);
});

test('a report that is faster than the poll waits for its commit, and is refused when that never comes', async () => {
  const commit = await world.commit({ says: { web: 'fast' } });
  const { digest } = await pushed('fast');
  const made = await report({ commit, digest });
  await reaches(made, 'waiting');
  await world.poll();
  expect(await ended(made)).toMatchObject({ state: 'accepted' });
  await world.live('dev', commit);

  const never = await report({ commit: '0'.repeat(40), digest });
  await reaches(never, 'waiting');
  const { db } = world.house.store;
  await db
    .updateTable('artifact_report')
    .set({ commit_until: new Date(0) })
    .where('id', '=', never.id)
    .execute();
  await careForReports(world.house, world.engine);
  expect(await ended(never)).toMatchObject({ state: 'refused', problem: { code: 'artifact.commit-unknown' } });
});

test('a commit that no poll saw as a head has its artifact all the same, for others with the same files', async () => {
  const under = await world.commit({ says: { web: 'under' } });
  const { digest } = await pushed('under');
  const top = await world.commit({ files: { 'services/web/top.md': 'above it' } });
  const early = await report({ commit: under, digest });
  await world.poll();
  expect(await ended(early)).toMatchObject({ state: 'accepted' });
  const ready = await released(top, 'ready');
  expect(ready.services.find(({ service }) => service === 'web')?.digest).toBe(digest);
});

test('a release that waited in vain fails and says why, and a late report heals it', async () => {
  const commit = await world.push({ says: { web: 'late' } });
  const { db } = world.house.store;
  const key = keyOf(await released(commit, 'building'));
  await db
    .updateTable('artifact')
    .set({ report_until: new Date(0) })
    .where('key', '=', key)
    .execute();
  await careForReports(world.house, world.engine);
  const failed = await released(commit, 'failed');
  expect(failed.problem?.what).toBe('"web" has no artifact: no other CI reported "web" in time.');
  expect(failed.problem?.fix).toContain(`--commit ${commit}`);

  await world.useCases.releases.retry(PROJECT, commit, 'olga');
  await released(commit, 'building');
  await db
    .updateTable('artifact')
    .set({ report_until: new Date(0) })
    .where('key', '=', key)
    .execute();
  await careForReports(world.house, world.engine);
  await released(commit, 'failed');
  expect(await ended(await report({ commit, digest: (await pushed('late')).digest }))).toMatchObject({
    state: 'accepted',
  });
  await released(commit, 'ready');
  await world.live('dev', commit);
});

test('what was given up says that its CI reports it again, and is healed by that, with another digest too', async () => {
  const commit = await world.push({ says: { web: 'gone' } });
  const key = keyOf(await released(commit, 'building'));
  await ended(await report({ commit, digest: (await pushed('gone')).digest }));
  await world.live('dev', commit);
  const problem = { code: GIVEN_UP, what: 'it was given up.', fix: 'Report it again.' };
  await world.house.store.transaction(async (tx) => {
    await recordGivenUp(tx, key, problem, new Date());
    await failReady(tx, key, problem);
  });
  await released(commit, 'failed');
  const again = (await pushed('gone, and made anew')).digest;
  expect(await ended(await report({ commit, digest: again }))).toMatchObject({ state: 'accepted', key });
  const back = await released(commit, 'ready');
  expect(back.services.find(({ service }) => service === 'web')?.digest).toBe(again);
});

/** An image that says so, where the other CI puts its images. */
async function pushed(says: string, config?: Record<string, unknown>): Promise<TestImage> {
  const made = await testImage([{ says }]);
  const found = config === undefined ? made : withConfig(made, config);
  await pushImage(outside, `${TEAM}/web`, found);
  return found;
}

function withConfig(made: TestImage, config: Record<string, unknown>): TestImage {
  const bytes = Buffer.from(JSON.stringify(config));
  const manifest = JSON.parse(made.bytes.toString('utf8')) as { config: object };
  const changed = { ...manifest, config: { ...manifest.config, digest: sha256(bytes), size: bytes.length } };
  const text = Buffer.from(JSON.stringify(changed));
  return { ...made, config: bytes, bytes: text, digest: sha256(text) };
}

function statement(subject: Digest, commit: string): object {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'web', digest: { sha256: subject.slice(7) } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'https://ci.example/build',
        externalParameters: {},
        resolvedDependencies: [{ uri: 'git+https://git.example/shop@refs/heads/main', digest: { gitCommit: commit } }],
      },
      runDetails: { builder: { id: 'https://ci.example/runner' } },
    },
  };
}

function report(request: Partial<ReportRequest> & Pick<ReportRequest, 'commit' | 'digest'>): Promise<ReportView> {
  return world.useCases.reports.make({ project: PROJECT, service: 'web', ...request }, 'ci-shop');
}

function reaches({ id }: ReportView, ...states: ReportView['state'][]): Promise<ReportView> {
  const show = (): Promise<ReportView> => world.useCases.reports.show(PROJECT, id);
  return until(
    async () => {
      const found = await show();
      return states.includes(found.state) ? found : null;
    },
    async () => JSON.stringify(await show(), null, 1),
  );
}

function ended(made: ReportView): Promise<ReportView> {
  return reaches(made, 'accepted', 'refused');
}

function released(commit: string, state: ReleaseView['state']): Promise<ReleaseView> {
  return until(async () => {
    const { items } = await world.useCases.releases.list(PROJECT, { limit: 50 });
    return items.find((one) => one.commit === commit && one.state === state) ?? null;
  });
}

function keyOf({ services }: ReleaseView): string {
  return services.find(({ service }) => service === 'web')?.key ?? '';
}
