import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { debianRegistryHost } from '../../tools/test-machine/machine.ts';
import type { Claims } from '../access/identity.ts';
import { ACTIONS, actionsClaims, AUDIENCE } from '../access/oidc/testing/claims.ts';
import { type TestIssuer, testIssuer } from '../access/oidc/testing/issuer.ts';
import { problemOf } from '../lib/error.ts';
import { createRegistryClient } from '../registry/client/client.ts';
import { pushImage, type TestImage, testImage } from '../registry/testing/images.ts';
import { type Internet, startInternet } from '../registry/testing/internet.ts';
import { until } from './testing/until.ts';
import { createWorld, type World } from './testing/world.ts';

/** The issuer is played under its name, with claims of the form that GitHub documents; GitHub itself was not asked. */
const PROJECT = 'trusting';
const TEAM = `team-trusting-${process.pid}`;

let world: World;
let internet: Internet;
let actions: TestIssuer;
let other: TestIssuer;
let image: string;
let built: TestImage;
let another: TestImage;
let commit: string;

const files = (more: string): Record<string, string> => ({
  'towpath.yaml': `project: ${PROJECT}
services:
  api: { path: services/api, build: text }
  web: { path: services/web, build: { external: { image: "${image}" } } }
environments:
  dev: { on: manual, deploy: stage }
${more}`,
});
const trusting = (repository: string): string => `identities: { actions: { github: { repository: ${repository} } } }\n`;

beforeAll(async () => {
  const outside = createRegistryClient({ host: await debianRegistryHost() });
  image = `${outside.host}/${TEAM}/web`;
  [actions, other] = await Promise.all([testIssuer(ACTIONS), testIssuer('https://ci.example')]);
  internet = await startInternet({ 'token.actions.githubusercontent.com': actions.site, 'ci.example': other.site });
  [built, another] = [await testImage([{ says: 'one' }]), await testImage([{ says: 'two' }])];
  for (const one of [built, another]) await pushImage(outside, `${TEAM}/web`, one);
  const first = 'services: { api: { path: services/api, build: text } }';
  world = await createWorld(PROJECT, first, { says: { api: 'api' }, agentFor: internet.agentFor });
  commit = await world.push({ says: { web: 'one' }, files: files(trusting('team/shop')) });
  await released();
}, 120_000);
beforeEach(() => {
  for (const issuer of [actions, other]) issuer.asked.length = 0;
});
afterAll(async () => {
  await world.end();
  await internet.close();
});

test('a job reports the commit that it is about, and who it was is to be seen wherever the report is', async () => {
  const token = await tokenOf({ sha: commit });
  const identity = await world.useCases.identify(PROJECT, token);
  const run = 'https://github.com/team/shop/actions/runs/7';
  expect(identity).toMatchObject({ name: 'actions', issuer: ACTIONS, commit, ref: 'refs/heads/main', run });

  const report = { project: PROJECT, service: 'web', commit, digest: built.digest };
  const make = (request: typeof report) => world.useCases.reports.make(request, 'oidc:actions', identity);
  const head = await world.git('rev-parse', 'main~1');
  await expect(make({ ...report, commit: head })).rejects.toMatchObject({
    code: 'access.commit-forbidden',
    what: expect.stringContaining(commit) as string,
  });
  const made = await make(report);
  expect(made).toMatchObject({ by: 'oidc:actions', identity });
  await until(async () => ((await world.useCases.reports.show(PROJECT, made.id)).state === 'accepted' ? true : null));
  expect((await make(report)).id).toBe(made.id);
  await expect(make({ ...report, digest: another.digest })).rejects.toMatchObject({
    code: 'artifact.report-conflict',
    what: expect.stringContaining(`oidc:actions (${run})`) as string,
  });

  const { artifacts } = await world.useCases.lineage(PROJECT, commit);
  expect(artifacts.find(({ service }) => service === 'web')?.reported?.identity).toEqual(identity);
  const why = await world.useCases.why(PROJECT, commit);
  expect(why.story.map(({ what }) => what)).toContainEqual(expect.stringContaining(`oidc:actions (${run})`));
  const { items } = await world.useCases.audit.list({ limit: 2, subject: PROJECT });
  expect(items).toMatchObject([
    { actor: 'oidc:actions', action: 'artifact.report', detail: { identity: { run } } },
    { actor: 'oidc:actions', action: 'identity.exchange', detail: { run, jti: expect.any(String) as string } },
  ]);
});

test('an identity token may be shown again while it lasts: a job has one, and reports several services', async () => {
  const token = await tokenOf({ sha: commit });
  expect(await world.useCases.identify(PROJECT, token)).toEqual(await world.useCases.identify(PROJECT, token));
});

test('a pull request, a fork and a token for somebody else are refused', async () => {
  for (const more of [
    { ref: 'refs/pull/3/merge', event_name: 'pull_request' },
    { event_name: 'pull_request_target' },
    { repository: 'mallory/shop' },
    { aud: 'https://github.com/team' },
  ])
    expect(await refused(PROJECT, await tokenOf({ sha: commit, ...more }))).toBe('access.identity-refused');
});

test('of a project that is not there one learns no more than of one that does not trust the issuer, who is not asked', async () => {
  const token = await other.sign(actionsClaims(Date.now(), { iss: other.issuer }));
  expect(await refused(PROJECT, token)).toBe('access.identity-refused');
  expect(await refused('nothing', await tokenOf({}))).toBe('access.identity-refused');
  const whats = await Promise.all(
    [PROJECT, 'nothing'].map(async (project) => {
      const error: unknown = await world.useCases.identify(project, token).catch((thrown: unknown) => thrown);
      return problemOf(error).what.replace(project, '');
    }),
  );
  expect(whats[0]).toBe(whats[1]);
  expect(other.asked).toEqual([]);
});

test('whom a branch would trust does not count; what the default branch says does, from then on', async () => {
  const stranger = await tokenOf({ repository: 'mallory/shop' });
  const branch = await world.push({ branch: 'mine', files: files(trusting('mallory/shop')) });
  await released(branch);
  expect(await refused(PROJECT, stranger)).toBe('access.identity-refused');
  await released(await world.push({ files: files(trusting('mallory/shop')) }));
  expect(await world.useCases.identify(PROJECT, stranger)).toMatchObject({ name: 'actions' });
  expect(await refused(PROJECT, await tokenOf({}))).toBe('access.identity-refused');
  await released(await world.push({ files: files('') }));
  expect(await refused(PROJECT, stranger)).toBe('access.identity-refused');
});

test('no part of an identity token is kept in any table', async () => {
  const { db } = world.house.store;
  const parts = tokens.flatMap((token) => token.split('.'));
  expect(parts.length).toBeGreaterThan(20);
  const { rows } = await sql<{ name: string }>`
    select format('%I.%I', table_schema, table_name) as name from information_schema.tables
    where table_schema not in ('pg_catalog', 'information_schema') and table_type = 'BASE TABLE'`.execute(db);
  expect(rows.length).toBeGreaterThan(20);
  for (const { name } of rows) {
    const { rows: found } = await sql<{ line: string }>`select row.*::text as line from ${sql.raw(name)} row`.execute(
      db,
    );
    const text = found.map(({ line }) => line).join('\n');
    expect(
      parts.filter((part) => text.includes(part)),
      name,
    ).toEqual([]);
  }
});

const tokens: string[] = [];

async function tokenOf(more: Claims): Promise<string> {
  const token = await actions.sign(actionsClaims(Date.now(), { aud: AUDIENCE, ...more }));
  tokens.push(token);
  return token;
}

async function refused(project: string, token: string): Promise<string> {
  return world.useCases.identify(project, token).then(
    () => expect.fail('It is trusted.'),
    (error: unknown) => problemOf(error).code,
  );
}

function released(sha = commit): Promise<true> {
  return until(async () => {
    const { items } = await world.useCases.releases.list(PROJECT, { limit: 50 });
    if (items.some((one) => one.commit === sha)) return true;
    await world.poll(); // one that finds the repository locked by what is under way looks at nothing
    return null;
  });
}
