import type { EvidenceState } from '../path/facts.ts';
import type { Release } from '../release/release.ts';
import { answersOf } from './ask.ts';
import type { House } from './house.ts';

/** The state of each check over all services that have it: one failure fails it, one missing answer leaves it missing. */
export async function evidenceFor(
  house: House,
  release: Release,
  checks: readonly string[],
): Promise<Record<string, EvidenceState>> {
  const states = await Promise.all(checks.map(async (check) => [check, await stateOf(house, release, check)] as const));
  return Object.fromEntries(states);
}

async function stateOf(house: House, release: Release, check: string): Promise<EvidenceState> {
  const answers = await answersOf(house, release, check);
  const bad = answers.find(({ latest }) => latest !== null && latest.answer.verdict !== 'passed');
  if (bad?.latest)
    return { state: 'failed', at: bad.latest.at.getTime(), what: `${bad.service}: ${bad.latest.answer.summary}` };
  // a check that no service of this commit has proves nothing: the gate must not be passed by deleting the check
  if (answers.length === 0) return { state: 'absent' };
  if (answers.some(({ latest }) => latest === null)) return { state: 'missing' };
  return { state: 'passed', at: Math.max(...answers.map(({ latest }) => latest?.at.getTime() ?? 0)) };
}
