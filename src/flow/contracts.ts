import type { CheckDefinition } from '../check/check.ts';
import { contractsOf } from '../check/checks.ts';
import type { RecordedEvidence } from '../check/evidence.ts';
import { latestAnswers } from '../check/evidence-store.ts';
import type { WrittenPact } from '../check/kind.ts';
import { type EnvironmentRow, environmentsOf } from '../environment/environment-store.ts';
import { environmentOf } from '../environment/place.ts';
import { ranAt } from '../environment/tenure-store.ts';
import type { Release, ReleaseService } from '../release/release.ts';
import { releaseById } from '../release/release-store.ts';
import type { House } from './house.ts';
import { configAt } from './project-config.ts';
import { type Question, questionOfPart, questionsOf } from './question.ts';

/** A check of a service of one of the releases, with its latest answer. */
export interface Asked {
  readonly release: Release;
  readonly service: string;
  readonly commit: string;
  readonly check: string;
  readonly question: Question | null;
  readonly latest: RecordedEvidence | null;
}

/** What one service expects of another, as its latest answer wrote it down. */
export interface Pair extends WrittenPact {
  readonly consumer: { readonly service: string; readonly release: Release };
  /** Null where none of the releases has the service. */
  readonly providerOf: Release | null;
  /** Each check by which the provider is held to it. */
  readonly verifiers: readonly Asked[];
}

export interface Contracts {
  /** The checks that write pacts. */
  readonly written: readonly Asked[];
  readonly pairs: readonly Pair[];
}

/** The contracts among services that would run beside each other. @param at as it was at that instant; else now */
export async function contractsAmong(house: House, releases: readonly Release[], at?: Date): Promise<Contracts> {
  const written = await withAnswers(house, await writersOf(house, releases), at);
  const pairs = await Promise.all(
    written.flatMap(({ release, service, latest }) =>
      latest?.answer.verdict !== 'passed'
        ? []
        : (latest.answer.pacts ?? []).map((pact) => pairOf(house, releases, { service, release }, pact, at)),
    ),
  );
  return { written, pairs };
}

/** What a check of a release that verifies pacts asks: of those of its own services, and of the services that run anywhere. */
export async function pactQuestionsOf(house: House, release: Release, check: string): Promise<Question[]> {
  const names = await Promise.all(release.services.map((part) => namesOf(house, release, part, 'verifies')));
  if (!names.flat().includes(check)) return [];
  const running = await environmentsOf(house.store.db, release.projectId);
  const ids = new Set(running.flatMap(({ currentReleaseId }) => currentReleaseId ?? []));
  const others = await Promise.all([...ids].map((id) => releaseById(house.store.db, id)));
  const among = [[release], ...others.flatMap((other) => (other === null ? [] : [[release, other]]))];
  const contracts = await Promise.all(among.map((releases) => contractsAmong(house, releases)));
  const questions = contracts
    .flatMap(({ pairs }) => pairs)
    .filter(({ providerOf }) => providerOf === release)
    .flatMap(({ verifiers }) => verifiers.flatMap(({ question }) => question ?? []))
    .filter(({ name }) => name === check);
  return [...new Map(questions.map((question) => [question.id, question])).values()];
}

/** The releases that run in the other places of an environment. */
export async function releasesBeside(house: House, place: EnvironmentRow, at?: Date): Promise<Release[]> {
  const { db } = house.store;
  const others = (await environmentsOf(db, place.projectId)).filter(
    ({ id, name }) => id !== place.id && environmentOf(name) === environmentOf(place.name),
  );
  const running = await Promise.all(
    others.map(async ({ id, currentReleaseId }) => {
      const releaseId = at === undefined ? currentReleaseId : await ranAt(db, id, at);
      return releaseId === null ? null : releaseById(db, releaseId);
    }),
  );
  return running.filter((release) => release !== null);
}

/** The names of the checks of a service that have to do with contracts. */
export function checksOfContracts(
  checks: Readonly<Record<string, CheckDefinition>>,
  role: 'writes' | 'verifies',
): string[] {
  return Object.entries(checks).flatMap(([name, check]) => (contractsOf(check) === role ? [name] : []));
}

async function writersOf(house: House, releases: readonly Release[]): Promise<Omit<Asked, 'latest'>[]> {
  const each = await Promise.all(
    releases.map(async (release) => {
      const names = await Promise.all(release.services.map((part) => namesOf(house, release, part, 'writes')));
      const questions = await Promise.all([...new Set(names.flat())].map((name) => questionsOf(house, release, name)));
      return questions.flat().flatMap((question) => {
        const { service, commit, name } = question;
        return contractsOf(question.check) === 'writes' ? [{ release, service, commit, check: name, question }] : [];
      });
    }),
  );
  return each.flat();
}

async function pairOf(
  house: House,
  releases: readonly Release[],
  consumer: Pair['consumer'],
  pact: WrittenPact,
  at?: Date,
): Promise<Pair> {
  const providerOf = releases.find(({ services }) => services.some(({ service }) => service === pact.provider)) ?? null;
  const part = providerOf?.services.find(({ service }) => service === pact.provider);
  if (providerOf === null || part === undefined) return { ...pact, consumer, providerOf: null, verifiers: [] };
  const names = await namesOf(house, providerOf, part, 'verifies');
  const asked = await Promise.all(
    names.map(async (check) => ({
      release: providerOf,
      service: pact.provider,
      commit: part.commit,
      check,
      question: await questionOfPart(house, providerOf, part, check, {
        pact: { consumer: consumer.service, digest: pact.digest },
      }),
    })),
  );
  return { ...pact, consumer, providerOf, verifiers: await withAnswers(house, asked, at) };
}

async function namesOf(
  house: House,
  release: Release,
  { service, commit }: ReleaseService,
  role: 'writes' | 'verifies',
): Promise<string[]> {
  const { services } = await configAt(house, release.repositoryId, commit);
  return checksOfContracts(services[service]?.checks ?? {}, role);
}

async function withAnswers(house: House, asked: readonly Omit<Asked, 'latest'>[], at?: Date): Promise<Asked[]> {
  const ids = asked.flatMap(({ question }) => question?.id ?? []);
  const latest = await latestAnswers(house.store.db, ids, at);
  return asked.map((one) => ({ ...one, latest: latest.get(one.question?.id ?? '') ?? null }));
}
