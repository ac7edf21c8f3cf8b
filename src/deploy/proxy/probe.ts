import { request } from 'node:http';
import { connect } from 'node:net';

import type { Address } from '../rollout.ts';

/** Asks by HTTP; 2xx and 3xx are well. Without a path it is enough that a connection is accepted. Never throws. */
export function probe(address: Address, path: string | null, timeoutMs: number): Promise<boolean> {
  return path === null ? accepts(address, timeoutMs) : answers(address, path, timeoutMs);
}

function answers({ host, port }: Address, path: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const out = request(
        { host, port, path, agent: false, signal, headers: { 'user-agent': 'towpath-health' } },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode !== undefined && answer.statusCode >= 200 && answer.statusCode < 400);
        },
      );
      out.once('error', () => resolve(false));
      out.end();
    } catch {
      resolve(false); // a path that cannot be sent
    }
  });
}

function accepts({ host, port }: Address, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const done = (well: boolean): void => {
      socket.destroy();
      resolve(well);
    };
    socket.once('connect', () => done(true));
    socket.once('timeout', () => done(false));
    socket.once('error', () => done(false));
  });
}
