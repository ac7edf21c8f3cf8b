import type { Digest } from '../../lib/digest.ts';
import type { ProblemView } from './project.ts';

/** What services are built upon: an outside base image with its pin, or a base service as the default branch has it. */
export interface BaseView {
  readonly kind: 'outside' | 'service';
  /** Of a base service, its name. */
  readonly reference: string;
  readonly digest: Digest;
  /** Who moved the pin there: `towpath` for the first resolution and the schedule. Of a base service, the commit that it was built for. */
  readonly by: string;
  readonly since: string;
  /** When the registry of an outside one was last asked. */
  readonly askedAt: string | null;
  /** The services that the heads of live branches build upon it. */
  readonly services: readonly string[];
  /** What runs and stands upon another image of this base than `digest`, itself or through other bases. */
  readonly old: readonly { readonly environment: string; readonly service: string; readonly digest: Digest }[];
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
