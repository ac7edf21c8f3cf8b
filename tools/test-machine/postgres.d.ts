/**
 * A server of its own; `restart` ends it as a crash would (no goodbye, a recovery) and starts it on the same port and data.
 * @param env more for its environment
 */
export function startPostgres(
  directory: string,
  env?: Readonly<Record<string, string>>,
): Promise<{
  readonly address: string;
  crash(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}>;
