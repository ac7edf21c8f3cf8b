import { GitError } from '../git/git-error.ts';
import { placeOf } from './repository-place.ts';

/**
 * Git servers that asked to be left alone. One refusal counts for all repositories of the server that are reached with the same
 * credential, so that none of them uses up what the others wait for.
 */
export interface ServerQuiet {
  /** @throws GitError `git.busy` while the server is to be left alone */
  check(repository: PolledRepository, now: number): void;
  note(repository: PolledRepository, untilMs: number): void;
}

export interface PolledRepository {
  readonly url: string;
  readonly credential: string | null;
}

export function createServerQuiet(): ServerQuiet {
  const until = new Map<string, number>();
  return {
    check: (repository, now) => {
      const end = until.get(keyOf(repository));
      if (end === undefined) return;
      if (end <= now) until.delete(keyOf(repository));
      else throw leftAlone(end, end - now);
    },
    note: (repository, untilMs) => {
      until.set(keyOf(repository), Math.max(untilMs, until.get(keyOf(repository)) ?? 0));
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
