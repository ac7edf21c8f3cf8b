/** @param directory a folder of its own; the engine's images, containers and socket lie there */
export function startDockerEngine(directory: string): Promise<{
  /** `unix:///...` */
  readonly address: string;
  stop(): Promise<void>;
}>;
