import type { Digest } from '../lib/digest.ts';
import type { LogLine } from '../lib/log.ts';
import type { DriverStatement } from './statement.ts';

/** The place a driver works on: one environment of one project. Slugs are safe as names; names are for people. */
export interface Target {
  readonly project: string;
  readonly environment: string;
  readonly slug: string;
}

/** One service as it should run. */
export interface DesiredService {
  readonly service: string;
  /** `host/repository` without tag: the digest is what runs. */
  readonly image: string;
  readonly digest: Digest;
  /** A name that the image has, for people; what runs is the digest. */
  readonly tag?: string;
  /** Replaces the image's entrypoint and command. */
  readonly command?: readonly string[];
  /** Where the program listens, told to it as `PORT`; a worker has none. */
  readonly port?: number;
  /** The port of its stable URL on this machine, for drivers behind the local proxy. */
  readonly publicPort?: number;
  readonly health?: HealthProbe;
  readonly env: Readonly<Record<string, string>>;
  /**
   * Name -> reference (`env:NAME`, `file:/path`); the driver resolves it at the moment of use and gives it as a file of
   * that name, in the folder that the variable `TOWPATH_SECRETS` names (`/run/secrets` where the driver can).
   */
  readonly secrets: Readonly<Record<string, string>>;
  readonly replicas: number;
  readonly limits: { readonly memoryMb?: number; readonly cpus?: number };
}

export interface HealthProbe {
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** How long a new one may take until it is healthy. */
  readonly startMs: number;
}

export interface Desired<Config = unknown> {
  readonly target: Target;
  readonly config: Config;
  readonly services: readonly DesiredService[];
  /** What makes repeating safe: the same operation applied twice is the same as applied once. */
  readonly operation: string;
  /** Where it comes from, for drivers that leave a record with what they do. */
  readonly promotion?: {
    readonly number: number;
    /** As people call it. */
    readonly release: string;
    readonly commit: string;
    /** The answers about the release: check, verdict and id. */
    readonly evidence: readonly string[];
    /** Where Towpath shows it to people. */
    readonly url?: string;
  };
  /** The repository at the release's commit, for drivers that read there what is to run. */
  readonly source?: SourceFiles;
}

export interface SourceFiles {
  /**
   * The bytes of a regular file by its path from the root; null when there is none (a link or folder is none).
   * @throws GitError `git.too-large`
   */
  file(path: string, maxBytes: number): Promise<Uint8Array | null>;
  /** The paths of the regular files below a folder, from that folder; empty when there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
}

export interface Replica {
  readonly id: string;
  /** As seen on what runs, never as asked for. */
  readonly digest: Digest;
  readonly health: 'starting' | 'healthy' | 'unhealthy' | 'stopped';
  readonly operation: string;
  /** True when requests of users reach it (or, for a worker, when it is meant to stay). */
  readonly serving: boolean;
}

/** An image as it stands where another program takes it from: nobody saw it run. */
export interface Written {
  readonly place: string;
  /** Null when none stands there, or the place is gone. */
  readonly digest: Digest | null;
  readonly operation: string;
}

/** What the program that deploys what is written tells of a service. */
export interface Told {
  /** Who tells, and of what. */
  readonly by: string;
  /** True when it is at what stands written, runs the digest, and is healthy. */
  readonly isGood: boolean;
  readonly says: string;
}

export interface Observed {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly replicas: readonly Replica[];
        readonly url?: string;
        /** Of a driver that sees no replicas, and only this. */
        readonly written?: readonly Written[];
        /** Where somebody is asked who sees it run. */
        readonly told?: Told;
      }
    >
  >;
  /**
   * Of a driver that runs more in the environment than the release: what is amiss with it, null where it is as the last deployment
   * left it.
   */
  readonly beside?: Readonly<Record<string, string | null>>;
}

/** A thing to do, as plain data: tests compare it, a dry run prints `summary`, `apply` does it. */
export interface Action {
  readonly kind: string;
  readonly summary: string;
  readonly service?: string;
}

export interface ApplyContext {
  readonly log: LogLine;
  /** Aborted by a cancel, a pre-empting rollback or a lost lane. Resolve only when nothing of ours is still working. */
  readonly signal: AbortSignal;
  /** The lane's fencing token, ever rising per environment: a target that remembers a higher one refuses. */
  readonly token: bigint;
  /** Told what it waits for that people have to do, as `waitsFor` says it; null when that is over. */
  readonly waits?: (what: string | null) => Promise<void>;
}

export interface OutputQuestion {
  readonly service: string;
  /** How many of the last lines of each replica come first. */
  readonly tail: number;
  /** Goes on with what is printed from now on, also by replicas that take the place of these. */
  readonly follow: boolean;
  /** Replica -> `place` of the last part that was read; empty at the first time. */
  readonly after: ReadonlyMap<string, string>;
  readonly signal: AbortSignal;
}

/** Some lines that a replica printed, without the secrets that it was given. */
export interface OutputPart {
  /** Short: it tells apart the replicas of one service, over deployments too. */
  readonly replica: string;
  readonly operation: string;
  readonly lines: readonly string[];
  /** What has to be said besides: that lines are left out, or cannot be shown. */
  readonly note: string | null;
  /** Where to go on; letters, digits and `:.-` only. */
  readonly place: string;
}

/** A program of a service that runs to its end before the new version does, such as a migration of its database. */
export interface Job {
  readonly service: string;
  /** Replaces the image's entrypoint and command. */
  readonly argv: readonly string[];
  readonly timeoutMs: number;
  /** A server that ended since had begun it: it is followed to its end, and never begun a second time. */
  readonly begun: boolean;
  /** Called just before it is started, so that it is known of. */
  readonly begin: () => Promise<void>;
}

export type JobEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'timed-out' }
  | { readonly kind: 'out-of-memory' }
  | { readonly kind: 'killed'; readonly signal: string }
  /** It had begun, and nobody saw how it ended. */
  | { readonly kind: 'lost' };

/** Runs programs of a release to their end, in the very image, with the settings and secrets of its service. */
export interface Jobs<Config = unknown> {
  /** One by `operation` and service. What it prints goes to the log, without secrets; an abort ends it. */
  run(desired: Desired<Config>, job: Job, context: ApplyContext): Promise<JobEnd>;
  /** Its end is written down: what was kept of it goes. Twice is the same as once. */
  forget(desired: Desired<Config>, service: string): Promise<void>;
}

/**
 * Makes a release run somewhere. A fresh value per installation, given its tools by `main.ts`.
 * `plan` is pure; `apply` is idempotent by `operation`; `observe` reports what is, not what was asked; `destroy` may be called twice.
 */
export interface DeployDriver<Config = unknown, A extends Action = Action> extends DriverStatement<Config> {
  plan(desired: Desired<Config>, observed: Observed): readonly A[];
  apply(desired: Desired<Config>, actions: readonly A[], context: ApplyContext): Promise<void>;
  observe(target: Target): Promise<Observed>;
  destroy(target: Target, context: ApplyContext): Promise<void>;
  /** How much longer a deployment may take because people have to do something for it, in milliseconds. */
  waitMs?(config: Config): number;
  /** What the deployment under way at a target waits for that people have to do, `https://... to be merged`; null when nothing is. */
  waitsFor?(target: Target): Promise<string | null>;
  /** For a driver that can run programs of a release before it. */
  readonly jobs?: Jobs<Config>;
  /** Ends what this driver still runs for a target that another driver serves now. Asked after each deployment by another. */
  handOver?(target: Target, context: ApplyContext): Promise<void>;
  /**
   * What a service prints, of the replicas that this machine can read. Ends by itself when it is not followed, or when
   * nothing of the service is left; nothing of it stays behind when the signal comes.
   */
  output?(target: Target, question: OutputQuestion): AsyncIterable<OutputPart>;
}
