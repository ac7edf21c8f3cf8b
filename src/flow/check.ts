import { type Problem, problemOf } from '../lib/error.ts';
import { UNDECIDED } from '../path/promotion.ts';
import { releaseById } from '../release/release-store.ts';
import type { Tx } from '../store/database.ts';
import { recordEvent } from '../store/event-store.ts';
import { askContracts, askRelease } from './ask.ts';
import { durable } from './engine/durable.ts';
import { step, transaction } from './engine/step.ts';
import type { House } from './house.ts';
import { revoke } from './revoke.ts';
import { recordAnswer } from './statements/state.ts';
import { isTransient } from './transient.ts';

interface Asked {
  readonly releaseId: string;
  readonly check: string;
  /** For what is open of the contracts there. */
  readonly environmentId?: string;
  /** Asked again where it was answered before. */
  readonly sinceMs?: number;
  /** Of a person who wants it asked whatever was answered before; told with each answer. */
  readonly test?: string;
}

/** Asks one check of a release's artifacts; whoever waits for the answer looks again. */
export function checkFlow(house: House) {
  return durable('check', async (asked: Asked) => {
    const { releaseId, check, environmentId, sinceMs, test } = asked;
    const evidence = await step(
      'ask',
      async ({ signal }) => {
        const release = await releaseById(house.store.db, releaseId);
        if (release === null) return [];
        if (environmentId !== undefined) return askContracts(house, release, environmentId, { signal });
        return askRelease(house, release, check, { signal, sinceMs: test === undefined ? sinceMs : Infinity });
      },
      { retry: { attempts: 3, firstMs: 1000, when: isTransient } },
    ).catch(async (error: unknown) => {
      await transaction('unanswered', (tx) => tellUnanswered(tx, asked, problemOf(error)));
      throw error;
    });
    await transaction('record', async (tx) => {
      for (const item of evidence) await revoke(house, tx, item);
      for (const item of evidence) {
        await recordAnswer(tx, item);
        await recordEvent(tx, {
          projectId: item.projectId,
          kind: `check.${item.answer.verdict}`,
          subject: item.releaseId ?? releaseId,
          data: {
            check: item.check,
            service: item.service,
            summary: item.answer.summary,
            evidence: item.id,
            ...(test === undefined ? {} : { test }),
          },
        });
      }
      await wakeThoseWith(house, tx, releaseId);
    });
  });
}

/** Nothing was found out; whoever waits for the answer asks again when it looks again. */
async function tellUnanswered(tx: Tx, { releaseId, check, test }: Asked, problem: Problem): Promise<void> {
  const release = await releaseById(tx, releaseId);
  if (release === null) return;
  await recordEvent(tx, {
    projectId: release.projectId,
    kind: 'check.unanswered',
    subject: releaseId,
    data: { check, problem, ...(test === undefined ? {} : { test }) },
  });
}

/** Promotions of the same artifacts, by whichever release, wait for the same answers. */
async function wakeThoseWith(house: House, tx: Tx, releaseId: string): Promise<void> {
  const rows = await tx
    .selectFrom('promotion')
    .innerJoin('release', 'release.id', 'promotion.release_id')
    .innerJoin('release as asked', (join) =>
      join.onRef('asked.fingerprint', '=', 'release.fingerprint').onRef('asked.project_id', '=', 'release.project_id'),
    )
    .select('promotion.id')
    .where('asked.id', '=', releaseId)
    .where('promotion.ended_at', 'is', null)
    .where('promotion.state', 'in', UNDECIDED)
    .orderBy('promotion.id')
    .execute();
  for (const { id } of rows) await house.starts.promote(tx, id);
}
