import { environmentById } from '../../environment/environment-store.ts';
import { environmentOf } from '../../environment/place.ts';
import { shortRef } from '../../git/ref.ts';
import { purlOf } from '../../notify/cd-event.ts';
import type { MessagePlace } from '../../notify/message.ts';
import type { Draft } from '../../notify/plan-message.ts';
import type { Release } from '../../release/release.ts';
import { recordedNamesOf, releaseById } from '../../release/release-store.ts';
import { repositoryById } from '../../source/member-store.ts';
import type { StoredEvent } from '../../store/event-store.ts';
import type { House } from '../house.ts';
import { promotionEvents } from './cd-promotions.ts';
import { runnable, type Teller, tellerOf } from './cd-teller.ts';
import { type Place, placeOf } from './news.ts';

/** What of an event programs are told, as CDEvents. Like what people are told, it never changes. */
export async function cdEventsOf(house: House, event: StoredEvent, place: Place): Promise<Draft[]> {
  const teller = tellerOf(house, event, place);
  const [noun, word = ''] = event.kind.split('.');
  if (noun === 'promotion') return promotionEvents(house, event, teller, word);
  if (noun === 'check' && word in OUTCOME_OF_CHECK) return checkEvents(house, event, teller, word as 'passed');
  if (noun === 'ref') return refEvents(house, event, teller, word);
  switch (event.kind) {
    case 'release.ready':
      return artifactEvents(house, event, teller);
    case 'environment.created':
    case 'environment.removed':
    case 'environment.stopped':
      return environmentEvents(house, event, teller, word as 'created');
    default:
      return [];
  }
}

const OUTCOME_OF_CHECK = { passed: 'success', failed: 'failure', error: 'error' } as const;

async function checkEvents(
  house: House,
  { subject, data }: StoredEvent,
  { tell, chain, link, project }: Teller,
  verdict: keyof typeof OUTCOME_OF_CHECK,
): Promise<Draft[]> {
  const { check, service, summary, evidence } = data as Record<string, string | undefined>;
  const release = await releaseById(house.store.db, subject);
  if (release === null || evidence === undefined || check === undefined) return [];
  return [
    tell({
      type: 'testsuiterun.finished.0.3.0',
      subject: {
        id: evidence,
        content: {
          // it ran in the artifact's own image, and in no environment of the path
          environment: { id: `${project}/checks` },
          testSuite: { id: `${project}/${service}/${check}`, name: check, uri: link(`#${release.number}`) },
          outcome: OUTCOME_OF_CHECK[verdict],
          ...(verdict === 'passed' ? {} : { reason: summary ?? '' }),
        },
      },
      chainId: chain(release.commit),
      customData: { release: release.number, commit: release.commit, check, service },
      place: await branchesOf(house, release.id),
    }),
  ];
}

/** Those that were built for this very commit: what was there already was told when it came. */
async function artifactEvents(house: House, { subject }: StoredEvent, teller: Teller): Promise<Draft[]> {
  const { tell, chain } = teller;
  const release = await releaseById(house.store.db, subject);
  if (release === null || release.mixed) return [];
  const place = await branchesOf(house, release.id);
  return release.services.flatMap(({ digest, builtFor, builtIn, commit, key, reportUntil }) => {
    if (digest === null || builtFor !== commit || reportUntil !== null) return [];
    const id = purlOf(house.registry.host, builtIn, digest);
    const shared = { chainId: chain(commit), customData: { release: release.number, commit, key, digest }, place };
    return [
      tell({
        type: 'artifact.packaged.0.3.0',
        key: `packaged ${key}`,
        subject: { id, content: { change: { id: commit } } },
        ...shared,
      }),
      tell({ type: 'artifact.published.0.3.0', key: `published ${key}`, subject: { id, content: {} }, ...shared }),
    ];
  });
}

async function refEvents(house: House, event: StoredEvent, teller: Teller, word: string): Promise<Draft[]> {
  const { repository: id, after } = event.data as Record<string, string | null | undefined>;
  if (!event.subject.startsWith('refs/heads/') || typeof id !== 'string') return [];
  const { name, defaultBranch } = await repositoryById(house.store.db, id);
  const branch = shortRef(event.subject);
  const repository = { id: name === null ? teller.project : `${teller.project}/${name}` };
  const place = { ...NOWHERE, branches: [branch] };
  const told = (type: string, subject: string, commit?: string): Draft =>
    teller.tell({
      type,
      subject: { id: subject, content: { repository } },
      ...(commit === undefined ? {} : { chainId: teller.chain(commit) }),
      place,
    });
  if (word === 'created') return [told('branch.created.0.3.0', branch)];
  if (word === 'deleted') return [told('branch.deleted.0.3.0', branch)];
  if (word !== 'moved' || branch !== defaultBranch || typeof after !== 'string') return [];
  return [told('change.merged.0.3.0', after, after)];
}

async function environmentEvents(
  house: House,
  { subject, at }: StoredEvent,
  { tell, project }: Teller,
  word: 'created' | 'removed' | 'stopped',
): Promise<Draft[]> {
  const environment = await environmentById(house.store.db, subject);
  const id = `${project}/${environment.name}`;
  const place = placeOf(environment);
  const content = { name: environmentOf(environment.name) };
  if (word === 'created') return [tell({ type: 'environment.created.0.3.0', subject: { id, content }, place })];
  const last = await ranUntil(house, subject, at);
  const removed = runnable(last?.release ?? null).map(({ service }) =>
    tell({
      type: 'service.removed.0.3.0',
      key: `removed ${last?.since}`, // once, when it is stopped first and removed later
      subject: { id: `${project}/${service}`, content: { environment: { id } } },
      place,
    }),
  );
  if (word === 'stopped') return removed;
  return [...removed, tell({ type: 'environment.deleted.0.3.0', subject: { id, content }, place })];
}

/** What was the last to run there by then, and the promotion since which it did. */
async function ranUntil(
  { store: { db } }: House,
  environmentId: string,
  at: Date,
): Promise<{ readonly release: Release | null; readonly since: string } | null> {
  const last = await db
    .selectFrom('tenure')
    .select(['release_id', 'promotion_id'])
    .where('environment_id', '=', environmentId)
    .where('began_at', '<=', at)
    .orderBy('began_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last === undefined ? null : { release: await releaseById(db, last.release_id), since: last.promotion_id };
}

const NOWHERE: MessagePlace = { environment: null, preview: false, branches: [], ofStrangers: false };

async function branchesOf({ store }: House, releaseId: string): Promise<MessagePlace> {
  const names = (await recordedNamesOf(store.db, [releaseId])).get(releaseId) ?? [];
  const branches = names.filter((ref) => ref.startsWith('refs/heads/')).map(shortRef);
  const isOfPulls = branches.length === 0 && !names.some((ref) => ref.startsWith('refs/tags/'));
  return { ...NOWHERE, branches: isOfPulls ? names : branches };
}
