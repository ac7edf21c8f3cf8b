import { rulingConfig } from '../../config/config-store.ts';
import { type Problem, problemOf } from '../../lib/error.ts';
import {
  claimChannels,
  type ClaimedChannel,
  dueDeliveries,
  type DueDelivery,
  mendable,
  pauseChannel,
  recordForsaken,
  recordTold,
  recordTried,
  recordUntilLater,
} from '../../notify/message-store.ts';
import type { Means } from '../../notify/messenger.ts';
import { messengerOf } from '../../notify/messengers.ts';
import type { NotifyChannel } from '../../notify/notify-channel.ts';
import type { Verdict } from '../../notify/verdict.ts';
import { recordEvent } from '../../store/event-store.ts';
import { attemptEach } from '../care/attempt.ts';
import { passBoundary } from '../engine/fault.ts';
import type { House } from '../house.ts';

/** So many channels are served at once. */
const AT_ONCE = 8;
/** Of one channel, before others get their turn. */
const IN_A_ROW = 50;
/** Longer than one try may take; whoever claimed a channel and died lets it go by that. */
const LEASE_MS = 60_000;
/** What could not be told for so long is nobody's news any more. */
const GIVE_UP_MS = 3 * 86_400_000;

/** Tells people what is due: each channel's in order, several channels at once. */
export async function deliverMessages(house: House, signal: AbortSignal): Promise<void> {
  const nowMs = house.clock.now();
  const claimedMs = nowMs + LEASE_MS;
  const claimed = await claimChannels(house.store.db, { nowMs, untilMs: claimedMs, most: AT_ONCE });
  await Promise.all(
    claimed.map((channel) =>
      attemptEach(house.log, [channel], 'telling people', () => deliverBy(house, channel, claimedMs, signal)),
    ),
  );
}

interface Pause {
  readonly untilMs: number | null;
  readonly problem?: Problem | null;
  readonly told?: Date;
}

async function deliverBy(house: House, claimed: ClaimedChannel, claimedMs: number, signal: AbortSignal): Promise<void> {
  const { db } = house.store;
  const channel = (await rulingConfig(db, claimed.projectId))?.config.notify[claimed.name] ?? null;
  const means: Means = { ...house.outgoing, now: () => house.clock.now(), secretOf: house.secretOf, signal };
  let leaseMs = claimedMs;
  passed('claimed');
  let pause: Pause = { untilMs: null };
  for (const due of await dueDeliveries(db, claimed, house.clock.now(), IN_A_ROW)) {
    const longerMs = house.clock.now() + LEASE_MS;
    if (!(await pauseChannel(db, claimed, leaseMs, { untilMs: longerMs }))) return; // somebody else has it now
    leaseMs = longerMs;
    const broken = due.mends === null ? 'told' : await mendable(db, due.mends, due);
    if (broken === 'due') continue;
    if (channel === null || broken === 'never') {
      await recordForsaken(db, due, new Date(house.clock.now()), null);
      continue;
    }
    await recordTried(db, due, new Date(house.clock.now()));
    passed('tried');
    const verdict = await send(channel, due, means);
    passed('sent');
    if (signal.aborted) break; // it was cut short: whoever comes next tells it
    pause = { ...pause, ...(await settle(house, claimed, due, verdict)) };
    passed('settled');
    if (pause.untilMs !== null) break;
  }
  await pauseChannel(db, claimed, leaseMs, pause);
}

/** What is told is rows and no workflow: its points are named as the steps of one. */
function passed(step: 'claimed' | 'tried' | 'sent' | 'settled'): void {
  passBoundary(step, 'done', 'messages');
}

/** Whatever a messenger throws, a secret that is not there say, somebody has to change something. */
export async function send(
  channel: NotifyChannel,
  due: Pick<DueDelivery, 'messageId' | 'message' | 'receiver' | 'mends'>,
  means: Means,
): Promise<Verdict> {
  const { messageId: id, message, receiver, mends } = due;
  const messenger = messengerOf(channel.kind);
  try {
    return (await messenger?.send({ id, message, receiver, mends, settings: channel.settings }, means)) ?? UNKNOWN;
  } catch (error) {
    return { kind: 'refused', problem: problemOf(error, 'notify.refused'), everything: true };
  }
}

const UNKNOWN: Verdict = {
  kind: 'refused',
  everything: true,
  problem: {
    code: 'notify.unknown-kind',
    what: 'This version knows no such kind of channel.',
    fix: 'Upgrade the server.',
  },
};

async function settle(
  house: House,
  { projectId, name }: ClaimedChannel,
  due: DueDelivery,
  verdict: Verdict,
): Promise<Pause> {
  const { db } = house.store;
  const nowMs = house.clock.now();
  const now = new Date(nowMs);
  switch (verdict.kind) {
    case 'taken':
      await recordTold(db, due, now);
      return { untilMs: null, problem: null, told: now };
    case 'wait':
      return { untilMs: verdict.untilMs };
    case 'never':
    case 'away':
    case 'refused': {
      const { problem } = verdict;
      const isOver = verdict.kind === 'never' || nowMs - due.at.getTime() >= GIVE_UP_MS;
      const untilMs = nowMs + waitAfter(due.tries, verdict.kind);
      if (!isOver) await recordUntilLater(db, due, untilMs, problem);
      else
        await house.store.transaction(async (tx) => {
          await recordForsaken(tx, due, now, problem);
          const data = { channel: name, title: due.message.title, problem };
          await recordEvent(tx, { projectId, kind: 'message.given-up', subject: due.messageId, data });
        });
      const concernsAll = verdict.kind === 'away' || (verdict.kind === 'refused' && verdict.everything);
      return { untilMs: concernsAll && !isOver ? untilMs : null, problem };
    }
    default:
      return verdict satisfies never;
  }
}

/** A receiver that is away comes back by itself; an address or a secret is changed by people. */
function waitAfter(tries: number, kind: 'away' | 'refused' | 'never'): number {
  const [firstMs, mostMs] = kind === 'away' ? [5_000, 3_600_000] : [60_000, 3 * 3_600_000];
  return Math.min(firstMs * 2 ** Math.min(tries, 20), mostMs);
}
