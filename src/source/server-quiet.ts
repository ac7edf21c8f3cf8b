import { GitError } from '../git/git-error.ts';
import type { Clock } from '../lib/clock.ts';
import { placeOf } from './repository-place.ts';

/**
 * Git servers that asked to be left alone. One refusal counts for all repositories of the server that are reached with the same
 * credential, so that none of them uses up what the others wait for.
 */
export interface ServerQuiet {
  /** @throws GitError `git.busy` while the server is to be left alone */
  check(repository: PolledRepository, clock: Clock): void;
  note(repository: PolledRepository, clock: Clock, waitMs: number): void;
}

export interface PolledRepository {
  readonly url: string;
  readonly credential: string | null;
}

export function createServerQuiet(): ServerQuiet {
  /** By `elapsed`. */
  const until = new Map<string, number>();
  return {
    check: (repository, clock) => {
      const end = until.get(keyOf(repository));
      if (end === undefined) return;
      const leftMs = end - clock.elapsed();
      if (leftMs <= 0) until.delete(keyOf(repository));
      else throw leftAlone(clock.now() + leftMs, leftMs);
    },
    note: (repository, clock, waitMs) => {
      until.set(keyOf(repository), Math.max(clock.elapsed() + waitMs, until.get(keyOf(repository)) ?? 0));
    },
  };
}

function keyOf({ url, credential }: PolledRepository): string {
  return JSON.stringify([placeOf(url)?.origin ?? url, credential]);
}

function leftAlone(until: number, retryAfterMs: number): GitError {
  return new GitError(
    {
      code: 'git.busy',
      what: `The git server asked to be left alone until ${new Date(until).toISOString()}.`,
      fix: 'Nothing is to be done: polling goes on then. If it comes often, give a credential with a higher limit.',
    },
    { retryAfterMs },
  );
}
