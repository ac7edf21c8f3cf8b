import { request } from 'node:http';

import pg from 'pg';
import { expect, test } from 'vitest';

import { dockerHost, externalPostgresUrl } from './machine.ts';

test('a test that asks for Docker gets a real engine, the same one each time', async () => {
  const [host, again] = await Promise.all([dockerHost(), dockerHost()]);
  expect(again).toBe(host);
  const answer = await new Promise<string>((resolve, reject) => {
    request({ socketPath: host.replace('unix://', ''), path: '/_ping' }, (response) => {
      response.setEncoding('utf8').once('data', resolve);
    })
      .once('error', reject)
      .end();
  });
  expect(answer).toBe('OK');
});

test('a test that asks for an external Postgres gets a real server, reached by TCP with a password', async () => {
  const url = await externalPostgresUrl();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ super: string }>("select current_setting('is_superuser') as super");
  await client.end();
  expect(rows).toEqual([{ super: 'on' }]);
});
