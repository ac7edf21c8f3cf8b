import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { allEnded } from '../../lib/all-ended.ts';
import type { LogLine } from '../../lib/log.ts';
import type { BesideSpec } from '../runtime.ts';
import { attachLog, createContainer, execIn, inspectContainer, removeContainer, startContainer } from './containers.ts';
import type { DockerEngine } from './engine.ts';
import { pullImage } from './images.ts';
import { ensureNetwork, removeNetwork } from './networks.ts';

/** The parts of one task, in a network of the task's name that nothing else is in. */
export interface Beside {
  readonly engine: DockerEngine;
  readonly task: string;
  readonly parts: readonly BesideSpec[];
  /** By which a sweep finds what a killed server left. */
  readonly labels: Readonly<Record<string, string>>;
}

interface Context {
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

const POLL_MS = 25;

/** Starts them all at once; each may need another before it is ready. What it leaves when it fails, `removeBeside` removes. */
export async function startBeside({ engine, task, parts, labels }: Beside, context: Context): Promise<void> {
  await allEnded([
    ensureNetwork(engine, task, labels),
    ...parts.map(({ image }) => pullImage(engine, image.reference, context)),
  ]);
  await allEnded(
    parts.map(async (part) => {
      const name = containerOf(task, part);
      const { image, env, limits } = part;
      const spec = { name, image, env, labels, ...(limits === undefined ? {} : { limits }) };
      const command = part.command === undefined ? {} : { command: part.command };
      await createContainer(engine, spec, { network: task, alias: part.name, restarts: false, ...command });
      await attachLog(engine, name, (line) => context.log(`${part.name} | ${line}`));
      await startContainer(engine, name);
    }),
  );
}

/**
 * Waits until each is ready, or one will not be.
 * @returns why, as a sentence without its end; null when all are
 */
export async function untilReady(beside: Beside, { signal }: Context): Promise<string | null> {
  const given = new AbortController();
  const answers = beside.parts.map(async (part) => {
    const why = await readiness(beside, part, AbortSignal.any([signal, given.signal])).catch((error: unknown) => {
      if (given.signal.aborted && !signal.aborted) return null; // another part's reason is told
      throw error;
    });
    if (why !== null) given.abort();
    return why;
  });
  return (await allEnded(answers)).find((why) => why !== null) ?? null;
}

/** Host name -> address, for who is not in their network but on this machine. */
export async function addressesOf({ engine, task, parts }: Beside): Promise<Map<string, string>> {
  const addresses = parts.map(async (part) => {
    const state = await inspectContainer(engine, containerOf(task, part));
    return [part.name, state?.addresses.get(task) ?? ''] as const;
  });
  return new Map(await Promise.all(addresses));
}

/** Parts that run no more. */
export async function lostOf({ engine, task, parts }: Beside): Promise<string[]> {
  const states = await Promise.all(parts.map((part) => inspectContainer(engine, containerOf(task, part))));
  return parts.flatMap(({ name }, index) => (states[index]?.running === true ? [] : [name]));
}

export async function removeBeside({ engine, task, parts }: Beside): Promise<void> {
  await Promise.all(parts.map((part) => removeContainer(engine, containerOf(task, part))));
  await removeNetwork(engine, task);
}

async function readiness({ engine, task }: Beside, part: BesideSpec, signal: AbortSignal): Promise<string | null> {
  const name = containerOf(task, part);
  const deadline = AbortSignal.timeout(part.readyWithinMs);
  const ending = AbortSignal.any([signal, deadline]);
  try {
    for (;;) {
      ending.throwIfAborted();
      const state = await inspectContainer(engine, name);
      if (state?.running !== true)
        return `${part.name} ended before it was ready (exit code ${state?.exitCode ?? '?'})`;
      const address = state.addresses.get(task) ?? '';
      const isReady =
        part.ready === undefined
          ? await takesConnections(address, part.port)
          : (await execIn(engine, name, part.ready, ending)) === 0;
      if (isReady) return null;
      await pause(POLL_MS, undefined, { signal: ending });
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!deadline.aborted) throw error;
    return `${part.name} was not ready within ${part.readyWithinMs / 1000} s`;
  }
}

function takesConnections(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 });
    const end = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

function containerOf(task: string, { name }: BesideSpec): string {
  return `${task}-${name}`;
}
