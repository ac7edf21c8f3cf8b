import type { Digest } from '../lib/digest.ts';
import type { LogLine } from '../lib/log.ts';

/**
 * Puts a base image that Towpath makes itself into the store of images.
 * @returns where it rests there, or null for a reference that names somebody else's image
 */
export type LendBase = (
  reference: string,
  promised: {
    readonly pin: Digest;
    readonly platform: string;
    readonly log: LogLine;
    readonly signal: AbortSignal;
  },
) => Promise<{ readonly repository: string; readonly digest: Digest } | null>;
