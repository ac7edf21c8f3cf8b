import { sql } from 'kysely';

import type { AdvisoryDatabase } from '../../check/advisory.ts';
import { latestAnswers } from '../../check/evidence-store.ts';
import type { ScanFacts } from '../../check/kind.ts';
import { groupBy } from '../../lib/group.ts';
import { UNDECIDED } from '../../path/promotion.ts';
import type { Sql } from '../../store/database.ts';
import type { House } from '../house.ts';
import { attemptEach } from './attempt.ts';

/**
 * What runs, and what waits to be let in, is scanned again when more is known of vulnerabilities, or when an answer rests upon
 * nothing any more. The new answer is one as any: it takes back what the old one allowed.
 */
export async function scanAgain(house: House): Promise<void> {
  const scans = await scansOf(house.store.db);
  if (scans.length === 0) return;
  const latest = await latestAnswers(
    house.store.db,
    scans.map(({ question }) => question),
  );
  const database = await house.advisories.current();
  const outdated = scans.flatMap(({ releaseId, check, question }) => {
    const found = latest.get(question);
    const facts = found?.answer.scan;
    if (found === undefined || facts === undefined || !isOutdated(facts, database, house.clock.now())) return [];
    return [{ releaseId, check, atMs: found.at.getTime() }];
  });
  const each = [...groupBy(outdated, ({ releaseId, check }) => `${releaseId} ${check}`).values()];
  await attemptEach(house.log, each, 'a scan of what runs', async (services) => {
    const [first] = services;
    if (first === undefined) return;
    const { releaseId, check } = first;
    const sinceMs = Math.max(...services.map(({ atMs }) => atMs));
    await house.store.transaction((tx) => house.starts.check(tx, releaseId, { check, sinceMs }));
  });
}

/** A worker that has older advisories than another leaves it to that one. */
function isOutdated(facts: ScanFacts, database: AdvisoryDatabase | null, nowMs: number): boolean {
  if (facts.untilMs !== undefined && facts.untilMs <= nowMs) return true;
  if (facts.againMs !== undefined) return facts.againMs <= nowMs;
  if (database === null || database.digest === facts.database?.digest) return false;
  return facts.database === null || database.newestMs >= facts.database.newestMs;
}

interface Scan {
  readonly releaseId: string;
  readonly check: string;
  readonly question: string;
}

/** The scans of what runs anywhere, and of what waits. */
async function scansOf(db: Sql): Promise<Scan[]> {
  const running = db.selectFrom('environment').select('current_release_id as id').where('removed_at', 'is', null);
  const waiting = db
    .selectFrom('promotion')
    .select('release_id as id')
    .where('ended_at', 'is', null)
    .where('state', 'in', UNDECIDED);
  const asked = db
    .selectFrom('release_question')
    .select(['release_id as releaseId', 'check_name as check', 'question'])
    .where('release_id', 'in', running.union(waiting));
  const answered = db
    .selectFrom('evidence')
    .select((eb) => [eb.ref('release_id').$notNull().as('releaseId'), 'check_name as check', 'question'])
    .where('release_id', 'in', waiting)
    .where(sql<boolean>`result ? 'scan'`);
  return asked.union(answered).orderBy('releaseId').orderBy('check').orderBy('question').execute();
}
