import { expect, test } from 'vitest';

import { createRests } from './rests.ts';

function held(): { readonly rest: Promise<void>; readonly end: () => void } {
  let end = (): void => undefined;
  const rest = new Promise<void>((resolve) => (end = resolve));
  return { rest, end };
}

test('there is room for so many, and for the next when one of them is over', async () => {
  const rests = createRests(2);
  const [one, other] = [held(), held()];
  rests.add(one.rest);
  await rests.room();
  rests.add(other.rest);
  const events: string[] = [];
  const room = rests.room().then(() => events.push('room'));
  await new Promise(setImmediate);
  events.push('over');
  other.end();
  await room;
  expect(events).toEqual(['over', 'room']);
  await rests.room();
});

test('at the end all are waited for, so long at most', async () => {
  const rests = createRests();
  await rests.over(600_000);
  const one = held();
  rests.add(one.rest);
  await rests.over(10);
  const over = rests.over(600_000);
  one.end();
  await over;
});
