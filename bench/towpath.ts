import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { killPrograms } from '../e2e/testing/programs.ts';
import { createClient, type Client } from '../src/cli/client.ts';
import { createProxyControl, type ProxyControl } from '../src/deploy/proxy/control.ts';

/** The program beside the bundle that runs the benches. */
const program = resolve('bin/towpath.js');

/** A server as a user starts it, on the embedded defaults. */
export interface RunningTowpath {
  readonly data: string;
  readonly client: Client;
  readonly readyMs: number;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

export async function startTowpath(data: string, env: Readonly<Record<string, string>> = {}): Promise<RunningTowpath> {
  const began = performance.now();
  const child = spawn(process.execPath, [program, 'up', '--data', data, '--port', '0'], {
    env: { ...process.env, TOWPATH_FIRST_PORT: '17100', ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const server = await until(() => {
    if (child.exitCode !== null) throw new Error(`The server ended: ${output}`);
    return /ready: (\S+)/.exec(output)?.[1] ?? null;
  }, 5);
  const readyMs = performance.now() - began;
  const token = (await readFile(join(data, 'token'), 'utf8')).trim();
  return {
    data,
    readyMs,
    process: child,
    client: createClient({ server, token }, new AbortController().signal),
    async stop() {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}

/** The proxy of a data directory, which lives on when its server ends. */
export function proxyOf(data: string): ProxyControl {
  return createProxyControl({ directory: join(data, 'proxy'), command: [process.execPath, program, 'proxy'] });
}

/** Ends the proxy too, and all that was deployed, and removes everything. */
export async function removeTowpath(data: string): Promise<void> {
  await killPrograms(data);
  await proxyOf(data).shutdown();
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
}

/** Asks until there is an answer that is not null. */
export async function until<T>(ask: () => T | null | Promise<T | null>, everyMs = 50, timeoutMs = 180_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain: ${ask.toString()}`);
    await pause(everyMs);
  }
}
