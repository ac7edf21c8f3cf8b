import { expect, test } from 'vitest';

import { systemClock } from '../../lib/clock.ts';
import { ledNow, whileLed } from './leader.ts';

const WORDS = [
  'rpc error: code = Unknown desc = The swarm does not have a leader. It is possible that too few managers are online.',
  'rpc error: code = DeadlineExceeded desc = context deadline exceeded',
  'raft: no elected cluster leader',
];

test('what managers without a leader refuse is asked again until they have one, and that is told once', async () => {
  const refusals = [...WORDS];
  const lines: string[] = [];
  const ask = (): Promise<string> => {
    const words = refusals.shift();
    return words === undefined ? Promise.resolve('done') : Promise.reject(new Error(words));
  };
  expect(await whileLed(ask, systemClock, contextOf(lines))).toBe('done');
  expect(lines).toEqual(['the managers of the Swarm have no leader; it waits until they have']);
});

test('what fails for another reason fails at once', async () => {
  const ask = (): Promise<never> => Promise.reject(new Error('name conflicts with an existing object'));
  await expect(whileLed(ask, systemClock, contextOf([]))).rejects.toThrow('name conflicts');
  await expect(ledNow(ask())).rejects.toThrow('name conflicts');
});

test('after two minutes without a leader it is a failure that says so, and so it is at once where nobody waits', async () => {
  let ms = 0;
  const clock = { ...systemClock, elapsed: () => (ms += 60_000) };
  const ask = (): Promise<never> => Promise.reject(new Error(WORDS[0]));
  await expect(whileLed(ask, clock, contextOf([]))).rejects.toMatchObject({ code: 'swarm.no-leader' });
  await expect(ledNow(ask())).rejects.toMatchObject({ code: 'swarm.no-leader' });
});

function contextOf(lines: string[]) {
  return { log: (line: string) => void lines.push(line), signal: new AbortController().signal };
}
