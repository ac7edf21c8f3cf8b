import { type Problem, problemOf } from '../../lib/error.ts';
import type { Channel } from '../../notify/channel.ts';
import { channelOf, noChannel } from '../../notify/channels.ts';
import { contextOf, NotifyError } from '../../notify/notice.ts';
import {
  claimRepositories,
  type ClaimedRepository,
  type DueNotice,
  dueNotices,
  type Pause,
  pauseNotices,
  recordDone,
  recordGivenUp,
  recordLater,
  recordShown,
} from '../../notify/notice-store.ts';
import { tell } from '../../notify/tell.ts';
import type { Verdict } from '../../notify/verdict.ts';
import type { HostApi } from '../../source/host-access.ts';
import { webUrlOf } from '../../source/web-url.ts';
import { recordEvent } from '../../store/event-store.ts';
import { attemptEach } from '../care/attempt.ts';
import type { House } from '../house.ts';

/** So many hosts are told at once. */
const AT_ONCE = 8;
/** Of one host, before others get their turn. */
const IN_A_ROW = 50;
/** Longer than one request may take; whoever claimed a repository and died lets it go by that. */
const LEASE_MS = 30_000;
/** What could not be told for so long is nobody's news any more. */
const GIVE_UP_MS = 3 * 86_400_000;

/** Tells git hosts what is due: each repository's in order, several repositories at once. */
export async function deliverNotices(house: House, signal: AbortSignal): Promise<void> {
  const nowMs = house.clock.now();
  const claimedMs = nowMs + LEASE_MS;
  const claimed = await claimRepositories(house.store.db, { nowMs, untilMs: claimedMs, most: AT_ONCE });
  await Promise.all(
    claimed.map((repository) =>
      attemptEach(house.log, [repository], 'telling a git host', () => deliverTo(house, repository, claimedMs, signal)),
    ),
  );
}

async function deliverTo(
  house: House,
  repository: ClaimedRepository,
  claimedMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { db } = house.store;
  const claim = claimOf(house, repository.id, claimedMs);
  const api = house.hosts.api({ ...repository, url: webUrlOf(repository.url) }, repository.notices);
  const channel = channelOf(api?.host ?? '');
  let pause: Pause = { untilMs: null };
  for (const due of await dueNotices(db, repository.id, house.clock.now(), IN_A_ROW)) {
    const verdict =
      api === null || channel === null ? UNTELLABLE : await tellOne(house, { claim, due, api, channel, signal });
    if (signal.aborted) break; // it was cut short: whoever comes next tells it
    const next = await settle(house, repository, due, verdict);
    pause = { ...pause, ...next };
    if (pause.untilMs !== null) break;
  }
  await claim.end(pause);
}

const UNTELLABLE: Verdict = { kind: 'refused', everything: true, problem: problemOf(noChannel()) };

interface Claim {
  /** Before each request, so that whoever lost it asks nothing more. @throws NotifyError `notify.overtaken` */
  renew(): Promise<void>;
  end(pause: Pause): Promise<void>;
}

function claimOf(house: House, repositoryId: string, claimedMs: number): Claim {
  let untilMs = claimedMs;
  return {
    async renew() {
      const longerMs = house.clock.now() + LEASE_MS;
      if (!(await pauseNotices(house.store.db, repositoryId, untilMs, { untilMs: longerMs }))) throw overtaken();
      untilMs = longerMs;
    },
    async end(pause) {
      await pauseNotices(house.store.db, repositoryId, untilMs, pause);
    },
  };
}

function overtaken(): NotifyError {
  return new NotifyError({
    code: 'notify.overtaken',
    what: 'Another worker tells this host now, or another token was named for it.',
    fix: 'Nothing is to be done.',
  });
}

interface Telling {
  readonly claim: Claim;
  readonly due: DueNotice;
  readonly api: HostApi;
  readonly channel: Channel;
  readonly signal: AbortSignal;
}

async function tellOne(house: House, { claim, due, api, channel, signal }: Telling): Promise<Verdict> {
  const { db } = house.store;
  await claim.renew();
  return tell({
    channel,
    notice: due.notice,
    shown: due.shown,
    now: () => house.clock.now(),
    ask: async ({ method, path, body }) => (await api.call({ method, path, body, signal })).body,
    record: async (shown) => {
      await recordShown(db, due, shown);
      await claim.renew();
    },
  });
}

async function settle(house: House, repository: ClaimedRepository, due: DueNotice, verdict: Verdict): Promise<Pause> {
  const { db } = house.store;
  const nowMs = house.clock.now();
  switch (verdict.kind) {
    case 'taken':
      await recordDone(db, due);
      return { untilMs: null, problem: null };
    case 'wait':
      return { untilMs: verdict.untilMs };
    case 'never':
      await giveUp(house, repository, due, verdict.problem);
      return { untilMs: null, problem: verdict.problem };
    case 'away':
    case 'refused': {
      const { problem } = verdict;
      const untilMs = nowMs + waitAfter(due.tries, verdict.kind);
      if (nowMs - due.wantedAt.getTime() < GIVE_UP_MS) await recordLater(db, due, untilMs);
      else await giveUpOld(house, repository, nowMs - GIVE_UP_MS, problem);
      return { untilMs: verdict.kind === 'away' || verdict.everything ? untilMs : null, problem };
    }
    default:
      return verdict satisfies never;
  }
}

/** A host that is away comes back by itself; a token is changed by people. */
function waitAfter(tries: number, kind: 'away' | 'refused'): number {
  const [firstMs, mostMs] = kind === 'away' ? [1_000, 300_000] : [30_000, 1_800_000];
  return Math.min(firstMs * 2 ** Math.min(tries, 20), mostMs);
}

/** What waited behind it for as long goes with it, and is told of once. */
async function giveUpOld(
  house: House,
  { id, projectId }: ClaimedRepository,
  beforeMs: number,
  problem: Problem,
): Promise<void> {
  await house.store.transaction(async (tx) => {
    const count = await recordGivenUp(tx, id, beforeMs);
    if (count > 0) await recordEvent(tx, { projectId, kind: 'notice.given-up', subject: id, data: { count, problem } });
  });
}

async function giveUp(house: House, { projectId }: ClaimedRepository, due: DueNotice, problem: Problem): Promise<void> {
  const { notice } = due;
  await house.store.transaction(async (tx) => {
    await recordDone(tx, due);
    const data = { commit: notice.commit, context: contextOf(notice), state: notice.state, problem };
    await recordEvent(tx, { projectId, kind: 'notice.dropped', subject: due.repositoryId, data });
  });
}
