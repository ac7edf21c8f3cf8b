import { Writable } from 'node:stream';

import { pino } from 'pino';
import { expect, test } from 'vitest';

import { IDENTITY_TOKEN } from './testing/fake-use-cases.ts';
import { testServer } from './testing/server.ts';

const COMMIT = 'c'.repeat(40);

test('a job exchanges its identity token for one that reports in its project, and who it was stands in the report', async () => {
  const lines: string[] = [];
  const out = new Writable({ write: (chunk, _encoding, done) => (lines.push(String(chunk)), done()) });
  const { server, guard } = await testServer({ log: pino({ level: 'trace' }, out) });
  const exchange = (body: object) => server.inject({ method: 'POST', url: '/api/v1/identity-tokens', payload: body });

  const made = await exchange({ project: 'shop', token: IDENTITY_TOKEN });
  expect(made.statusCode).toBe(201);
  expect(made.headers['cache-control']).toBe('no-store');
  const { secret, token } = made.json<{ secret: string; token: object }>();
  expect(token).toMatchObject({ user: 'oidc:actions', roles: ['ci'], projects: ['shop'] });
  const report = await server.inject({
    method: 'POST',
    url: '/api/v1/projects/shop/reports',
    headers: { authorization: `Bearer ${secret}` },
    payload: { service: 'web', commit: COMMIT, digest: `sha256:${'1'.repeat(64)}` },
  });
  expect(report.json()).toMatchObject({
    by: 'oidc:actions',
    identity: { commit: COMMIT, run: 'https://github.com/team/shop/actions/runs/7' },
  });
  expect(
    (await server.inject({ url: '/api/v1/matrix', headers: { authorization: `Bearer ${secret}` } })).statusCode,
  ).toBe(403);

  const other = 'canary.of.another';
  const refused = [
    await exchange({ project: 'shop', token: other }),
    await exchange({ project: 'shop', token: other.repeat(2_000) }),
    await exchange({ project: 'shop', token: [other] }),
    await exchange({ project: 'shop', token: other, role: 'admin' }),
  ];
  expect(refused.map(({ statusCode }) => statusCode)).toEqual([403, 400, 400, 400]);
  const heard = [...lines, ...refused.map(({ body }) => body), JSON.stringify(await guard.tokens())].join('\n');
  expect(heard).not.toContain('canary');
  await server.close();
});
