import type { LogLine } from '../lib/log.ts';

/** What a program needs to run inside an image. The image is there already: pulled, or unpacked to a root folder. */
export interface RunSpec {
  /** A name for people and for finding it again: unique among what runs on this machine. */
  readonly name: string;
  readonly image: ImageOnMachine;
  /** Replaces the image's entrypoint and command. */
  readonly argv?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir?: string;
  /** `uid` or `uid:gid`; the image's own user where it is not given. */
  readonly user?: string;
  /** Folders of the host that appear inside, on top of the image. The image itself stays clean. */
  readonly mounts?: readonly { readonly from: string; readonly to: string; readonly writable: boolean }[];
  /**
   * `host` shares the machine's network, so that the program reaches what listens on its loopback, such as the stable
   * URLs of environments. Otherwise a runner that can gives it a network of its own, with a way out.
   */
  readonly network?: 'host';
  /** Where it listens, for one that is asked while it runs. It is told as `PORT`. */
  readonly serves?: Serves;
  readonly limits?: Limits;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface Serves {
  /** What a runner with a network of its own tells it. */
  readonly inside: number;
  /** Where it is reached on this machine's loopback; nothing else listens there. */
  readonly onMachine: number;
}

export interface Limits {
  readonly memoryMb?: number;
  readonly cpus?: number;
  readonly pids?: number;
}

/** An image that this machine can start: for Docker a pulled reference, for processes an unpacked root folder. */
export interface ImageOnMachine {
  /** `host/repository@sha256:...` */
  readonly reference: string;
  readonly rootfs?: string;
  readonly config: ImageConfig;
}

/** The part of an OCI image configuration that matters at run time. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly user: string;
}

/** A server that a task needs: it is started before the task, and gone after it. */
export interface BesideSpec {
  /** The host name under which the task reaches it. */
  readonly name: string;
  readonly image: ImageOnMachine;
  /** Replaces the image's command; its entrypoint stays. */
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly port: number;
  /** A program of the part that ends with exit code 0 once it is ready. Without it: once its port takes connections. */
  readonly ready?: readonly string[];
  readonly readyWithinMs: number;
  readonly limits?: Limits;
}

export interface TaskSpec extends RunSpec {
  /** Names are unique. They see each other and the task sees them, by a network that nothing else is in. */
  readonly beside?: readonly BesideSpec[];
}

/** Runs one program to its end (a check, `npm ci`); services that stay are the drivers' affair. */
export interface TaskRunner {
  readonly name: 'docker' | 'runc' | 'bwrap' | 'chroot' | 'host';
  /** False where the program can reach the machine's files; recorded with what the program proved. */
  readonly isolates: boolean;
  run(
    spec: TaskSpec,
    options: { readonly log: LogLine; readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<RunResult>;
}

export type RunResult = (
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'timed-out' }
  /** It, or a program that it started, wanted more memory than its limit. */
  | { readonly kind: 'out-of-memory' }
  | { readonly kind: 'killed'; readonly signal: string }
  /** It was not started, for what it needs beside it did not run. @property why a sentence without its end */
  | { readonly kind: 'unready'; readonly why: string }
) & {
  /** Limits that this machine could not hold it to. */
  readonly notHeld?: readonly (keyof Limits)[];
  /** Parts beside it that ended by themselves while it ran. */
  readonly lost?: readonly string[];
};
