import type { SwarmEngine } from './machine.ts';

/** @param directory a folder of its own @param count how many engines, all of them managers */
export function startSwarm(
  directory: string,
  count: number,
): Promise<{
  /** A `Swarm` of `machine.ts`, as JSON. */
  readonly address: string;
  stop(): Promise<void>;
}>;

/** Starts an engine again that a test killed; it ends with the test run. */
export function startSwarmEngine(engine: SwarmEngine): Promise<unknown>;
