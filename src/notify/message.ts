import type { GitIdentity } from '../path/facts.ts';
import type { CdEvent } from './cd-event.ts';

/** What people can be told of. */
export const TOPICS = ['failed', 'rolled-back', 'build-failed', 'fixed', 'approval', 'yanked', 'revoked'] as const;

export type Topic = (typeof TOPICS)[number];

/** One fact, as people are told it. Plain JSON: it rests in the outbox until it was told. */
export interface Message {
  readonly topic: Topic | 'test' | 'event';
  readonly project: string;
  /** ISO 8601: when it came to be. */
  readonly at: string;
  /** One line: what happened to what. */
  readonly title: string;
  /** Why, in sentences. */
  readonly what: string;
  readonly fix: string | null;
  readonly release: { readonly number: number; readonly name: string; readonly commit: string } | null;
  readonly place: MessagePlace;
  readonly commits: Brought;
  /** Who may approve what waits for it. */
  readonly approvers: readonly string[];
  /** Of Towpath's page. */
  readonly url: string;
  /** For programs: with the topic `event`. */
  readonly event?: CdEvent;
}

/** Where it happened, as channels choose by it. */
export interface MessagePlace {
  /** As `towpath.yaml` calls it; the template of a preview. */
  readonly environment: string | null;
  /** Others that it is true of as well. */
  readonly beside?: readonly string[];
  /** It comes and goes with a branch. */
  readonly preview: boolean;
  /** Short names, of a build. */
  readonly branches: readonly string[];
  /** What strangers wrote is in it: nobody but users is told. */
  readonly ofStrangers: boolean;
}

/** What came with it: the newest first. */
export interface Brought {
  /** What ran before, as people call it. */
  readonly since: string | null;
  readonly newest: readonly BroughtCommit[];
  /** How many there are beside those. */
  readonly more: number;
}

export interface BroughtCommit {
  readonly sha: string;
  readonly subject: string;
  readonly author: GitIdentity;
}

/** The text for people, paragraph by paragraph, without the title. */
export function paragraphsOf({ what, fix, commits }: Message): string[] {
  return [what, ...(fix === null ? [] : [fix]), ...(commits.newest.length === 0 ? [] : [commitsText(commits)])];
}

function commitsText({ since, newest, more }: Brought): string {
  const lines = newest.map(({ sha, subject, author }) => `  ${sha.slice(0, 7)} ${subject} (${author.name})`);
  return [
    since === null ? 'It holds:' : `It brings, beyond ${since}:`,
    ...lines,
    ...(more === 0 ? [] : [`  and ${more} more`]),
  ].join('\n');
}
