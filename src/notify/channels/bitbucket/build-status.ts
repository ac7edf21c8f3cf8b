import { isOver, isTold, type Call, type Shown, told } from '../../channel.ts';
import { contextOf, type Notice } from '../../notice.ts';
import { lineWithin, nameWithin } from '../../text.ts';

const LENGTH = 255;

/** How Bitbucket in the cloud and the one on one's own machines differ. */
export interface BuildStatusForm {
  readonly path: (commit: string) => string;
  /** How long the key may be under which a status is told again. */
  readonly keyLength: number;
  readonly urlLength: number;
  /** The word for what was begun and ended by a person. */
  readonly cancelled: string;
  /** Under which name the ref stands. */
  readonly ref: (ref: string) => Readonly<Record<string, string>>;
}

/** A build status per commit and key; the same key again takes the place of the one before. */
export function buildStatus(notice: Notice, shown: Shown, form: BuildStatusForm): Call | null {
  if (isTold(notice, shown) || (isOver(notice) && notice.state !== 'cancelled')) return null;
  const context = contextOf(notice);
  return {
    method: 'POST',
    path: form.path(notice.commit),
    body: {
      key: nameWithin(context, form.keyLength),
      state: stateOf(notice, form.cancelled),
      name: nameWithin(context, LENGTH),
      description: lineWithin(notice.description, LENGTH),
      url: urlOf(notice, form.urlLength),
      ...form.ref(notice.ref),
    },
    learn: () => told(notice, shown),
  };
}

function stateOf({ state }: Notice, cancelled: string): string {
  switch (state) {
    case 'pending':
      return 'INPROGRESS';
    case 'success':
      return 'SUCCESSFUL';
    case 'failure':
      return 'FAILED';
    default:
      return cancelled;
  }
}

/** One is required, so where what runs has too long a one the page stands there. */
function urlOf(notice: Notice, most: number): string {
  const running = notice.about === 'deployment' && notice.state === 'success' ? notice.environmentUrl : null;
  return running === null || running.length > most ? notice.url : running;
}
