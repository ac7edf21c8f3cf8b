import { problemOf } from '../lib/error.ts';
import type { Call, Channel, Shown } from './channel.ts';
import { type Notice, NotifyError } from './notice.ts';
import { statusOf, type Verdict, verdictOf } from './verdict.ts';

export interface Telling {
  readonly channel: Channel;
  readonly notice: Notice;
  readonly shown: Shown;
  readonly now: () => number;
  /** Sends a request to the host. @returns the parsed body @throws HostError */
  readonly ask: (call: Pick<Call, 'method' | 'path' | 'body'>) => Promise<unknown>;
  /** Writes down what the host is known to show, before anything else is asked of it. */
  readonly record: (shown: Shown) => Promise<void>;
}

/** Asks until the host shows the notice, or something stands in the way. */
export async function tell({ channel, notice, shown, now, ask, record }: Telling): Promise<Verdict> {
  for (let known = shown; ;) {
    const call = channel.next(notice, known);
    if (call === null) return { kind: 'taken' };
    let answer: unknown = null;
    try {
      answer = await ask(call);
    } catch (error) {
      if (call.isShown?.(statusOf(error), problemOf(error).what) !== true) return verdictOf(error, channel, now());
    }
    try {
      known = call.learn(answer);
    } catch {
      return verdictOf(strange(call), channel, now());
    }
    const { looked: _notKept, ...lasting } = known;
    await record(lasting);
  }
}

function strange({ method, path }: Call): NotifyError {
  return new NotifyError({
    code: 'notify.strange-answer',
    what: `The git host answered a ${method} of ${path.replace(/\?.*$/, '')} in a form that it is not known for.`,
    fix: 'Check with `towpath project list` that the repository is taken for the right kind of host.',
  });
}
