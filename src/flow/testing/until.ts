import { setTimeout as sleep } from 'node:timers/promises';

/** The wait grows with what it took so far: a view is a dozen queries, and whoever waits for seconds is late by tenths. */
const FIRST_MS = 20;
const LONGEST_MS = 250;
const GROWS = 1.25;

/** Asks until there is an answer that is neither null nor false. */
export async function until<T>(
  ask: () => Promise<T | false | null>,
  story: () => Promise<string> | string = () => ask.toString(),
  timeoutMs = 120_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (let waitMs = FIRST_MS; ; waitMs = Math.min(waitMs * GROWS, LONGEST_MS)) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain: ${await story()}`);
    await sleep(waitMs);
  }
}
