import { type CdEvent, chainOf } from '../../notify/cd-event.ts';
import type { MessagePlace } from '../../notify/message.ts';
import type { Draft } from '../../notify/plan-message.ts';
import type { Release, ReleaseService } from '../../release/release.ts';
import type { StoredEvent } from '../../store/event-store.ts';
import type { House } from '../house.ts';
import type { Place } from './news.ts';

type Told = Omit<CdEvent, 'source' | 'type'> & {
  readonly type: string;
  readonly place: MessagePlace;
  /** By which it is told once; else by its type and subject, once for this event. */
  readonly key?: string;
};

/** How the facts of one event are told. */
export interface Teller {
  readonly project: string;
  readonly tell: (told: Told) => Draft;
  readonly chain: (commit: string) => string;
  readonly link: Place['link'];
}

export function tellerOf({ settings }: House, { id, at }: StoredEvent, { project, link }: Place): Teller {
  const source = `${settings.page.replace(/\/+$/, '')}/api/v1/projects/${encodeURIComponent(project)}`;
  return {
    project,
    link,
    chain: (commit) => chainOf(project, commit),
    tell: ({ type, place, key = `${id} ${type}`, ...event }) => ({
      key: `cd ${key} ${event.subject.id}`,
      turn: null,
      message: {
        topic: 'event',
        project,
        at: at.toISOString(),
        title: type,
        what: '',
        fix: null,
        release: null,
        place,
        commits: { since: null, newest: [], more: 0 },
        approvers: [],
        url: '',
        event: { type: `dev.cdevents.${type}`, source, ...event },
      },
    }),
  };
}

/** What of a release runs somewhere. */
export function runnable(release: Release | null): (ReleaseService & { readonly digest: string })[] {
  return (release?.services ?? []).flatMap(({ digest, ...part }) =>
    part.isBase || digest === null ? [] : [{ ...part, digest }],
  );
}
