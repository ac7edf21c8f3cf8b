import type { Digest } from '../../lib/digest.ts';
import type { ProblemView } from './project.ts';

/** The pin of an outside base image. */
export interface BaseView {
  readonly reference: string;
  readonly digest: Digest;
  /** Who moved it there: `towpath` for the first resolution and the schedule. */
  readonly by: string;
  readonly since: string;
  /** When its registry was last asked. */
  readonly askedAt: string;
  /** The services that the heads of live branches build upon it. */
  readonly services: readonly string[];
}

export interface RefreshView {
  readonly dryRun: boolean;
  readonly moves: readonly {
    readonly reference: string;
    readonly before: Digest;
    readonly after: Digest;
    readonly services: readonly string[];
  }[];
  /** References that mean what they meant. */
  readonly same: readonly string[];
  /** No answer was to be had: these pins stay. */
  readonly failed: readonly { readonly reference: string; readonly problem: ProblemView }[];
}
