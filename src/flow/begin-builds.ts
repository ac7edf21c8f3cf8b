import { recordBuildFailed, retryArtifact, toBuild } from '../artifact/artifact-store.ts';
import { givenUpAmong } from '../artifact/given-up-store.ts';
import { failedWithBases, type ParentRow, parentsOf, waitingUpon } from '../artifact/parent-store.ts';
import { reportCommand } from '../artifact/report.ts';
import type { Problem } from '../lib/error.ts';
import type { Tx } from '../store/database.ts';
import { appendToLog } from '../store/log-store.ts';
import type { House } from './house.ts';

type Place = { readonly starts: Pick<House['starts'], 'build'> };

/**
 * Begins the builds of rows that are to be built. What is built upon a base service that is not there yet waits as its
 * row, and begins when the last base is built; what is built upon one that failed has failed.
 * @param keys bases before what is built upon them
 * @returns the keys that failed so
 */
export async function beginBuilds(house: Place, tx: Tx, keys: readonly string[]): Promise<string[]> {
  const failed: string[] = [];
  const rows = new Map((await toBuild(tx, keys)).map((row) => [row.key, row]));
  for (const key of keys) {
    const artifact = rows.get(key);
    if (artifact === undefined) continue;
    const parents = artifact.depth === 0 ? [] : await parentsOf(tx, key);
    const broken = parents.find(({ state }) => state === 'failed');
    if (broken !== undefined) {
      const problem = problemOfBase(broken);
      await recordBuildFailed(tx, key, problem);
      await appendToLog(tx, artifact.logId, [`Failed: ${problem.what}`, problem.fix]);
      await appendToLog(tx, artifact.logId, []);
      failed.push(key);
      continue;
    }
    if (artifact.reportUntil !== null) {
      await appendToLog(tx, artifact.logId, [
        `Another CI builds it. Until ${artifact.reportUntil.toISOString()} this is waited for: ${reportCommand({ service: artifact.service, commit: artifact.builtForCommit })}`,
      ]);
      continue;
    }
    const missing = parents.filter(({ state }) => state === 'building').map(({ name }) => name);
    if (missing.length === 0) await house.starts.build(tx, key, artifact.attempt);
    else await appendToLog(tx, artifact.logId, [`Waits for what it is built upon: ${missing.join(', ')}.`]);
  }
  return failed;
}

/**
 * After a build has ended: what waited for it begins, or has failed with it.
 * @returns every key that ended, the one that is given first
 */
export async function followBuild(house: Place, tx: Tx, key: string): Promise<string[]> {
  const ended = [key];
  for (const one of ended) {
    const failed = await beginBuilds(house, tx, await waitingUpon(tx, one));
    ended.push(...failed.filter((other) => !ended.includes(other)));
  }
  return ended;
}

/** Lets artifacts that failed be built again, and the bases that made them fail. @param commits of which each is built, by key */
export async function buildAgain(house: Place, tx: Tx, commits: ReadonlyMap<string, string>): Promise<void> {
  const again = await failedWithBases(tx, [...commits.keys()]);
  for (const key of again) await retryArtifact(tx, key, commits.get(key));
  await beginBuilds(house, tx, again);
}

/** What was given up and is wanted again is built again. */
export async function takeUp(house: Place, tx: Tx, keys: readonly string[], commit: string): Promise<void> {
  const again = await givenUpAmong(tx, keys);
  await buildAgain(house, tx, new Map(again.map((key) => [key, commit])));
}

function problemOfBase({ name, problem }: ParentRow): Problem {
  return {
    code: 'artifact.base-failed',
    what: `its base service "${name}" has no artifact: ${problem?.what ?? 'its build failed.'}`,
    fix: problem?.fix ?? 'Read the log of its build.',
  };
}
