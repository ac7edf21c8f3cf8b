import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { programPath } from '../../../tools/packages.js';
import { type DriverUnderTest, rolloutsOf } from './rollouts.ts';

export interface LoadResult {
  readonly requests: number;
  /** Answers other than 2xx and 3xx, and connections that failed, broke or timed out. */
  readonly failed: number;
}

/** `e2e/load.test.ts` makes ten, by the server. */
const PROMOTIONS = 3;

/**
 * What users notice of promotions and a rollback: `wrk` keeps 50 connections busy on the address of a service while its
 * versions take turns, two replicas each.
 */
export async function promoteUnderLoad(under: DriverUnderTest): Promise<LoadResult> {
  const { deploy, web, url, end } = rolloutsOf(under);
  await deploy('first', [await web('v0', { replicas: 2 })]);
  const load = startLoad(`${await url()}/`);
  try {
    for (let n = 1; n <= PROMOTIONS; n++) await deploy(`promotion-${n}`, [await web(`v${n % 2}`, { replicas: 2 })]);
    const sick = await web('v2', { behaviour: 'sick', startMs: 500 });
    await deploy('bad', [sick]).catch(() => undefined);
    await deploy('rollback', [await web('v1', { replicas: 2 })]);
    return await load.end();
  } finally {
    await load.end();
    await end();
  }
}

/** A machine that is full tells nothing more, and others test on it too. */
const PACED = fileURLToPath(new URL('paced.lua', import.meta.url));

/** Keeps 50 connections in use until it is ended, with some two thousand requests a second. */
export function startLoad(url: string, script = PACED): { end(): Promise<LoadResult> } {
  const args = [
    '--threads',
    '2',
    '--connections',
    '50',
    '--duration',
    '600s',
    '--timeout',
    '60s',
    '--script',
    script,
    url,
  ];
  const wrk = spawn(programPath('wrk') ?? 'wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  wrk.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(wrk, 'close').then(() => resultOf(said));
  return {
    end: () => {
      wrk.kill('SIGINT'); // it then tells what it saw so far
      return ended;
    },
  };
}

function resultOf(said: string): LoadResult {
  const requests = Number(/(\d+) requests in/.exec(said)?.[1] ?? Number.NaN);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(said)?.slice(1) ?? [];
  const bad = /Non-2xx or 3xx responses: (\d+)/.exec(said)?.[1] ?? '0';
  return { requests, failed: [...errors, bad].reduce((sum, count) => sum + Number(count), 0) };
}
