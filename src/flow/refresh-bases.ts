import { sql } from 'kysely';

import { movePin, type Pin, recordAsked } from '../artifact/pin-store.ts';
import { recordAudit } from '../audit/audit-store.ts';
import type { Digest } from '../lib/digest.ts';
import { type Problem, problemOf } from '../lib/error.ts';
import { seeAgain } from '../source/ref-event-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { once } from '../store/once.ts';
import { pinsInUse } from './backing.ts';
import type { House } from './house.ts';
import { resolveBase } from './plan-artifacts.ts';

export interface PinMove {
  readonly reference: string;
  readonly before: Digest;
  readonly after: Digest;
  readonly services: readonly string[];
}

/** What the registries say of pins today. */
export interface RefreshPlan {
  readonly moves: readonly PinMove[];
  /** References that mean what they meant. */
  readonly same: readonly string[];
  /** Registries that gave no answer: these pins stay. */
  readonly failed: readonly { readonly reference: string; readonly problem: Problem }[];
}

/** Asks the registries; writes nothing. */
export async function planRefresh(house: House, pins: readonly Pin[]): Promise<RefreshPlan> {
  const answers = await Promise.all(
    pins.map(async (pin) => {
      try {
        return { ...pin, after: await resolveBase(house, pin.services, pin.reference) };
      } catch (error) {
        return { ...pin, problem: problemOf(error, 'artifact.no-base') };
      }
    }),
  );
  return {
    moves: answers.flatMap((pin) =>
      'after' in pin && pin.after !== pin.digest
        ? [{ reference: pin.reference, before: pin.digest, after: pin.after, services: pin.services }]
        : [],
    ),
    same: answers.flatMap((pin) => ('after' in pin && pin.after === pin.digest ? [pin.reference] : [])),
    failed: answers.flatMap((pin) => ('problem' in pin ? [{ reference: pin.reference, problem: pin.problem }] : [])),
  };
}

/**
 * Moves the pins as planned, and has the head of the default branch planned anew with them. Other branches get them with
 * their next push.
 * @returns the moves that were made; one that somebody else made at the same moment is theirs
 */
export async function moveBases(
  house: House,
  projectId: string,
  { moves, same }: RefreshPlan,
  by: string,
): Promise<PinMove[]> {
  return once(house.store, async (tx) => {
    const made: PinMove[] = [];
    await recordAsked(tx, projectId, same);
    // in one order always: two who refresh at once wait for each other, and never in a circle
    for (const move of moves.toSorted((one, other) => (one.reference < other.reference ? -1 : 1))) {
      if (!(await movePin(tx, projectId, move, by))) continue;
      made.push(move);
      await recordEvent(tx, { projectId, kind: 'base.moved', subject: projectId, data: { ...move, by } });
      await recordAudit(tx, { actor: by, action: 'base.refresh', subject: projectId, detail: { ...move } });
    }
    if (made.length > 0) await planHeads(house, tx, projectId, by);
    return made;
  });
}

async function planHeads(house: House, tx: Tx, projectId: string, by: string): Promise<void> {
  const heads = await tx
    .selectFrom('repository')
    .innerJoin('ref', 'ref.repository_id', 'repository.id')
    .select(['repository.id', 'ref.name', 'ref.commit_sha'])
    .where('repository.project_id', '=', projectId)
    .where(sql<boolean>`ref.name = 'refs/heads/' || repository.default_branch`)
    .where('ref.deleted_at', 'is', null)
    .where('repository.left_at', 'is', null)
    .execute();
  for (const { id, name, commit_sha: commit } of heads) {
    const eventId = await seeAgain(tx, { id, ref: name, commit }, house.clock.now(), by);
    await house.starts.ingest(tx, eventId);
  }
}

/** By the schedule of `towpath.yaml`: pins that are built upon and whose registries were not asked for that long. */
export async function refreshWhatIsDue(house: House, projectId: string, everyMs: number): Promise<readonly PinMove[]> {
  const dueBefore = house.clock.now() - everyMs;
  const pins = await pinsInUse(house.store.db, projectId);
  const due = pins.filter(({ services, askedAt }) => services.length > 0 && askedAt.getTime() <= dueBefore);
  if (due.length === 0) return [];
  const plan = await planRefresh(house, due);
  for (const { reference, problem } of plan.failed)
    house.log.warn({ reference, problem }, 'a base image could not be resolved and is asked for again later');
  return moveBases(house, projectId, plan, 'towpath');
}
