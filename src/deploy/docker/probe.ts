import { connect } from 'node:net';

import type { Probe } from '../local-observer.ts';
import { probe } from '../proxy/probe.ts';
import type { Address } from '../rollout.ts';

/**
 * Asks a container how it is. A published port accepts connections from the first moment, for the engine's own proxy
 * listens there; when nothing listens inside it hangs up at once. So without a path a connection has to hold.
 */
export const probeContainer: Probe = (address, path, timeoutMs) =>
  path === null ? holds(address, timeoutMs) : probe(address, path, timeoutMs);

const HOLD_MS = 250;

function holds({ host, port }: Address, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (well: boolean): void => {
      clearTimeout(limit);
      socket.destroy();
      resolve(well);
    };
    let limit = setTimeout(() => done(false), timeoutMs);
    socket.once('connect', () => {
      clearTimeout(limit);
      limit = setTimeout(() => done(true), HOLD_MS);
    });
    socket.once('data', () => done(true)); // it speaks first
    socket.once('end', () => done(false));
    socket.once('error', () => done(false));
  });
}
