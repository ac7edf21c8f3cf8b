/** What the main program lends to the commands that are servers themselves. Each resolves with an exit code. */
export interface House {
  up(options: UpOptions): Promise<number>;
  serve(options: ServeOptions): Promise<number>;
  proxy(options: ProxyOptions): Promise<number>;
  demo(options: DemoOptions): Promise<number>;
}

export interface UpOptions {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  /** Under which address people open the page; where it listens, when it is not given. */
  readonly publicUrl: string | undefined;
  /** Files of drivers that are not of this version. */
  readonly drivers: readonly string[];
  /** Repositories to watch from the start; one that is watched already stays as it is. */
  readonly repositories: readonly string[];
  readonly signal: AbortSignal;
}

export interface ServeOptions {
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly publicUrl: string | undefined;
  /** Postgres. From TOWPATH_DATABASE_URL only: it may hold a password, and an argument list is no secret. */
  readonly databaseUrl: string | undefined;
  readonly roles: readonly ('api' | 'worker')[];
  readonly drivers: readonly string[];
  readonly labels: readonly string[];
  readonly signal: AbortSignal;
}

export interface ProxyOptions {
  readonly state: string;
  readonly socket: string;
  readonly signal: AbortSignal;
}

/** Where the services of the demo run. */
export const DEMO_TARGETS = ['process', 'docker', 'compose', 'swarm', 'gitops', 'kubernetes'] as const;

export type DemoTarget = (typeof DEMO_TARGETS)[number];

export interface DemoOptions {
  /** A folder of its own; a temporary one when it is not given. */
  readonly data: string | undefined;
  readonly port: number | undefined;
  /** No pauses, every step asserted, ends by itself. */
  readonly ci: boolean;
  /** Where services run; containers where an engine answers, else processes, when it is not given. */
  readonly target: DemoTarget | undefined;
  /** From which the nodes of a cluster fetch images, for the target `kubernetes`: `host[:port][/prefix]`. */
  readonly registry: string | undefined;
  readonly signal: AbortSignal;
}
