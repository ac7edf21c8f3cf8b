/** A server of its own; `restart` ends it as a crash would (no goodbye, a recovery) and starts it on the same port and data. */
export function startPostgres(directory: string): Promise<{
  readonly address: string;
  crash(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}>;
