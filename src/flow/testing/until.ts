import { setTimeout as sleep } from 'node:timers/promises';

/** Asks until there is an answer that is neither null nor false. */
export async function until<T>(
  ask: () => Promise<T | false | null>,
  story: () => Promise<string> | string = () => ask.toString(),
  timeoutMs = 45_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain: ${await story()}`);
    await sleep(30);
  }
}
