import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { createWorld, type World } from './testing/world.ts';

const SECRET = 'a secret of the webhook';
const BODY = '{"taskId":"t"}';
/** What SonarQube has analysed; it answers in the shape of `fixtures/sonar`. */
const analysed = new Set<string>();
const sonarQube = createServer((request, response) => {
  const analyses = [...analysed].map((revision) => ({ key: 'analysis', revision }));
  const answer = request.url?.includes('project_analyses') ? { analyses } : { projectStatus: { status: 'OK' } };
  response.end(JSON.stringify(answer));
});
let world: World;

beforeAll(async () => {
  await new Promise<void>((listening) => sonarQube.listen(0, '127.0.0.1', listening));
  const { port } = sonarQube.address() as AddressInfo;
  const config = `
servers: { sonar: { url: "http://127.0.0.1:${port}", token: env:SONAR_TOKEN, webhook: env:SONAR_WEBHOOK } }
services: { web: { path: services/web, build: text, checks: { quality: { sonar: web } } } }
environments:
  gated: { on: manual, accepts: any, gates: [quality], deploy: stage, settle: 0ms }
`;
  world = await createWorld('scanned', config, { says: { web: 'first' } });
  world.env['SONAR_TOKEN'] = 'squ_1';
  world.env['SONAR_WEBHOOK'] = SECRET;
}, 120_000);
afterAll(async () => {
  sonarQube.close();
  await world.end();
});

async function deliver({ secret = SECRET, signed = BODY } = {}): Promise<void> {
  const signature = createHmac('sha256', secret).update(signed).digest('hex');
  const { id } = await world.house.store.db.selectFrom('repository').select('id').executeTakeFirstOrThrow();
  return world.useCases.analysed(id, { 'x-sonar-webhook-hmac-sha256': signature }, Buffer.from(BODY));
}

test('SonarQube says that it has worked, and whoever waits for it looks at once', async () => {
  const commit = await world.git('rev-parse', 'main');
  const { id } = await world.request('gated', commit);
  await world.says(id, 'quality');
  const waits = (): Promise<{ wake_at: Date | null } | undefined> =>
    world.house.store.db.selectFrom('promotion').select('wake_at').where('id', '=', id).executeTakeFirst();
  await expect.poll(async () => (await waits())?.wake_at?.getTime() ?? 0).toBeGreaterThan(Date.now() + 20_000);
  const nextLook = (await waits())?.wake_at?.getTime() ?? 0;
  analysed.add(commit);
  await deliver();
  await world.reaches(id, 'live');
  expect(Date.now()).toBeLessThan(nextLook);
});

test.each([
  ['another secret', () => deliver({ secret: 'another' })],
  ['a body that was changed', () => deliver({ signed: '{}' })],
  ['a repository that is not there', () => world.useCases.analysed('rpo_nowhere', {}, Buffer.from(BODY))],
])('%s is refused', async (_, send) => {
  await expect(send()).rejects.toMatchObject({ code: 'check.unsigned-webhook' });
});
