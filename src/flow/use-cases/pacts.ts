import { newestPacts } from '../../check/pact-store.ts';
import { environmentsOf } from '../../environment/environment-store.ts';
import { environmentOf } from '../../environment/place.ts';
import { groupBy } from '../../lib/group.ts';
import { releaseById } from '../../release/release-store.ts';
import { contractsAmong, type Pair } from '../contracts.ts';
import type { House } from '../house.ts';
import type { UseCases } from '../use-cases.ts';
import type { PactPairView } from '../view/pact.ts';
import { projectNamed } from './project-named.ts';

export function pactCases(house: House): UseCases['pacts'] {
  const { db } = house.store;
  return {
    async list(project) {
      const { id } = await projectNamed(db, project);
      const pacts = await newestPacts(db, id);
      return pacts.map(({ at, ...pact }) => ({ ...pact, since: at.toISOString() }));
    },
    async matrix(project) {
      const { id } = await projectNamed(db, project);
      return pairsThatRun(house, id);
    },
  };
}

/** By the artifacts that run in each environment now, in all of its places. */
async function pairsThatRun(house: House, projectId: string): Promise<PactPairView[]> {
  const { db } = house.store;
  const places = groupBy(await environmentsOf(db, projectId), ({ name }) => environmentOf(name));
  const each = await Promise.all(
    [...places].map(async ([environment, those]) => {
      const running = await Promise.all(
        those.flatMap(({ currentReleaseId: id }) => (id === null ? [] : [releaseById(db, id)])),
      );
      const { pairs } = await contractsAmong(
        house,
        running.filter((release) => release !== null),
      );
      return pairs.flatMap((pair) => viewsOf(environment, pair));
    }),
  );
  return each.flat();
}

function viewsOf(environment: string, { consumer, provider, digest, providerOf, verifiers }: Pair): PactPairView[] {
  const pair = { environment, consumer: consumer.service, provider, pact: digest };
  const nothing = { check: null, summary: null, evidence: null, at: null };
  if (providerOf === null) return [{ ...pair, ...nothing, verdict: 'no-provider' }];
  if (verifiers.length === 0) return [{ ...pair, ...nothing, verdict: 'no-check' }];
  return verifiers.map(({ check, latest }): PactPairView => {
    if (latest === null) return { ...pair, ...nothing, check, verdict: 'unanswered' };
    const { verdict, summary } = latest.answer;
    return { ...pair, check, verdict, summary, evidence: latest.id, at: latest.at.toISOString() };
  });
}
