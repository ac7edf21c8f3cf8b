import pg from 'pg';
import { expect, test } from 'vitest';

import { createListener } from './listen.ts';
import { testStore } from './testing.ts';

test('who begin and end to listen at once do it one after the other, and each hears what is for him', async () => {
  const store = await testStore();
  let atWork = 0;
  let most = 0;
  const listener = createListener(() => {
    const client = new pg.Client(store.url);
    const query = client.query.bind(client) as (text: string) => Promise<unknown>;
    const watched = async (text: string): Promise<unknown> => {
      most = Math.max(most, (atWork += 1));
      return query(text).finally(() => (atWork -= 1));
    };
    return Object.assign(client, { query: watched as typeof client.query });
  });
  const heard: string[] = [];
  const names = ['a', 'b', 'c', 'd'];
  const stops = await Promise.all(names.map((name) => listener.listen(name, (said) => heard.push(`${name} ${said}`))));
  for (const name of names) await store.pool.query('select pg_notify($1, $2)', [name, 'now']);
  await expect.poll(() => heard.toSorted()).toEqual(['a now', 'b now', 'c now', 'd now']);
  await Promise.all(stops.map((stop) => stop()));
  expect(most).toBe(1);
  await listener.close();
});
