import type { ProblemView } from './project.ts';

/** A channel by which people are told, and how that goes. */
export interface ChannelView {
  readonly name: string;
  readonly kind: string;
  readonly about: readonly string[];
  /** Null: all that are no previews. */
  readonly environments: readonly string[] | null;
  /** When something was told last. */
  readonly toldAt: string | null;
  /** How many messages are to be told still. */
  readonly waiting: number;
  /** Until when nothing is sent. */
  readonly until: string | null;
  /** How many were given up, of those that are remembered. */
  readonly givenUp: number;
  /** What stands in the way, as of the last try. */
  readonly problem: ProblemView | null;
}

/** What became of a message that was sent to see whether a channel works. */
export interface ChannelTestView {
  readonly channel: string;
  readonly results: readonly { readonly receiver: string | null; readonly problem: ProblemView | null }[];
}
