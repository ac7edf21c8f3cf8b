/** @param directory a folder of its own @param count how many engines, all of them managers */
export function startSwarm(
  directory: string,
  count: number,
): Promise<{
  /** A `Swarm` of `machine.ts`, as JSON. */
  readonly address: string;
  stop(): Promise<void>;
}>;
