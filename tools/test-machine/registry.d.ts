/** Debian's registry, plain HTTP and open to all. @param directory a folder of its own */
export function startRegistry(directory: string): Promise<{
  /** `127.0.0.1:port` */
  readonly address: string;
  stop(): Promise<void>;
}>;
