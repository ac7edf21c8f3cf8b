import { type RulingConfig, rulingConfig } from '../../config/config-store.ts';
import { addressesFor } from '../../notify/addresses.ts';
import type { Message } from '../../notify/message.ts';
import {
  type Destination,
  messageCursor,
  type MessageWish,
  moveMessageCursor,
  wantMessage,
} from '../../notify/message-store.ts';
import type { EmailSettings } from '../../notify/messengers/email/email.ts';
import { isOfEvents, wants } from '../../notify/notify-channel.ts';
import { linkTo } from '../../notify/plan.ts';
import { readEvents } from '../../store/event-store.ts';
import { attemptEach } from '../care/attempt.ts';
import { passBoundary } from '../engine/fault.ts';
import type { House } from '../house.ts';
import { cdEventsOf } from './cd-events.ts';
import { newsOf } from './news.ts';

/**
 * Reads what happened since the last look, and puts into the outbox what people are told of it. The fact was recorded with its
 * event; the messages are recorded with the place in the events, so that each is wanted once, whoever looks and is killed.
 */
export async function collectMessages(house: House): Promise<void> {
  while (await collectPage(house));
}

/** Git is read before the transaction: whoever moved the cursor first has told it. @returns whether there may be more */
async function collectPage(house: House): Promise<boolean> {
  const { db } = house.store;
  const cursor = await messageCursor(db);
  const events = await readEvents(db, cursor);
  const last = events.at(-1);
  if (last === undefined) return false;
  const rulings = new Map<string, Ruling | null>();
  const wishes: MessageWish[] = [];
  await attemptEach(house.log, events, 'what people are told', async (event) => {
    const { projectId } = event;
    if (projectId === null) return;
    const ruling = rulings.get(projectId) ?? (await rulingOf(house, projectId));
    rulings.set(projectId, ruling);
    if (ruling === null) return;
    const { project, config } = ruling;
    const place = { project, link: linkTo(house.settings.page, project), roles: config.roles };
    const news = await newsOf(house, event, place);
    const forPrograms = Object.values(config.notify).some(isOfEvents) ? await cdEventsOf(house, event, place) : [];
    for (const draft of [...(news === null ? [] : [news]), ...forPrograms]) {
      const destinations = destinationsOf(draft.message, ruling);
      wishes.push({ projectId, eventId: event.id, at: event.at, draft, destinations });
    }
  });
  const passed = (step: 'read' | 'wanted') => wishes.length > 0 && passBoundary(step, 'done', 'messages');
  passed('read');
  const isMine = await house.store.transaction(async (tx) => {
    if (!(await moveMessageCursor(tx, cursor, last.id))) return false;
    for (const wish of wishes) await wantMessage(tx, wish);
    return true;
  });
  passed('wanted');
  return isMine;
}

type Ruling = RulingConfig & { readonly project: string };

/** @returns null for a project that tells nobody */
async function rulingOf({ store }: House, projectId: string): Promise<Ruling | null> {
  const ruling = await rulingConfig(store.db, projectId);
  if (ruling === null || Object.keys(ruling.config.notify).length === 0) return null;
  const { name: project } = await store.db
    .selectFrom('project')
    .select('name')
    .where('id', '=', projectId)
    .executeTakeFirstOrThrow();
  return { ...ruling, project };
}

function destinationsOf(message: Message, { config, defaultBranch }: RulingConfig): Destination[] {
  return Object.entries(config.notify)
    .filter(([, channel]) => wants(channel, message, defaultBranch))
    .map(([channel, { kind, settings }]) => ({
      channel,
      receivers: kind === 'email' ? addressesFor(settings as EmailSettings, message, config) : [''],
    }));
}
