/** @param directory a folder of its own; the engine's images, containers and socket lie there */
export function startDockerEngine(directory: string): Promise<{
  /** `unix:///...` */
  readonly address: string;
  stop(): Promise<void>;
}>;

/** One request of the Engine API; what is given is sent as JSON. */
export function call(
  socketPath: string,
  method: string,
  path: string,
  given?: unknown,
): Promise<{ readonly status: number | undefined; readonly body: string }>;
