import type { CheckDefinition } from '../check/check.ts';
import type { EnvironmentRow } from '../environment/environment-store.ts';
import type { ContractFacts, NamedAnswer } from '../path/facts.ts';
import type { PathEnvironment } from '../path/path.ts';
import { nameOf, type Release } from '../release/release.ts';
import { namesOf } from '../release/release-store.ts';
import { type Asked, checksOfContracts, contractsAmong, type Pair, releasesBeside } from './contracts.ts';
import { latestOf, type ProtectedAsks, protectedAsks, standing, type Then } from './evidence-for.ts';
import type { House } from './house.ts';
import { configAt } from './project-config.ts';

/**
 * What a release would be held to in an environment, and what would be held to what it expects: by the contracts among its own
 * services, and with those that run in the other places of the environment.
 * @returns null where the environment does not ask
 */
export async function contractFacts(
  house: House,
  environment: EnvironmentRow,
  definition: PathEnvironment,
  release: Release,
  then?: Then,
): Promise<ContractFacts | null> {
  if (!definition.gates.some(({ kind }) => kind === 'can-i-deploy')) return null;
  const beside = await releasesBeside(house, environment, then?.at);
  const isBound = environment.previewBranch === null;
  const sides = await Promise.all(
    [release, ...beside].map((one) => sideOf(house, one, one === release, isBound, then)),
  );
  const sideWith = (one: Release): Side | undefined => sides.find((side) => side.release === one);
  const { written, pairs } = await contractsAmong(house, [release, ...beside], then?.at);
  const [own] = sides;
  const isHeld = own?.verifies === true;
  return {
    written: sides.flatMap((side) =>
      // what others expect can only concern a release that somebody may be held to
      side === own || isHeld
        ? answersOf(
            side,
            'writes',
            written.filter((one) => one.release === side.release),
          )
        : [],
    ),
    pairs: pairs
      .filter(({ consumer, providerOf }) => consumer.release === release || providerOf === release)
      .map((pair) => ({
        consumer: pair.consumer.service,
        provider: pair.provider,
        pact: pair.digest,
        consumerThere: sideWith(pair.consumer.release)?.there ?? null,
        verified: verifiedOf(pair, pair.providerOf === null ? undefined : sideWith(pair.providerOf)),
      })),
  };
}

/** A release that takes part, with what its services and the protected branch ask. */
interface Side {
  readonly release: Release;
  readonly there: string | null;
  readonly services: readonly {
    readonly service: string;
    readonly checks: Readonly<Record<string, CheckDefinition>>;
    /** Null where the commit asks for itself. */
    readonly asks: ProtectedAsks | null;
  }[];
  readonly verifies: boolean;
}

async function sideOf(
  house: House,
  release: Release,
  isOwn: boolean,
  isBound: boolean,
  then: Then | undefined,
): Promise<Side> {
  // an instant names the configuration of the release's own repository alone
  const asks = isBound ? await protectedAsks(house, release, isOwn ? then : undefined) : null;
  const there = isOwn ? null : nameOf(release, (await namesOf(house.store.db, [release.id])).get(release.id) ?? []);
  const services = await Promise.all(
    release.services.map(async ({ service, commit }) => {
      const config = await configAt(house, release.repositoryId, commit);
      const checks = config.services[service]?.checks ?? {};
      return { service, checks, asks: asks === null || asks.own.has(commit) ? null : asks };
    }),
  );
  const verifies = services.some(({ checks }) => checksOfContracts(checks, 'verifies').length > 0);
  return { release, there, services, verifies };
}

/** Also of checks that the protected branch has, and this commit has not. */
function answersOf(
  { services, there }: Side,
  role: 'writes' | 'verifies',
  asked: readonly Asked[],
  only?: string,
): NamedAnswer[] {
  return services
    .filter(({ service }) => only === undefined || service === only)
    .flatMap(({ service, checks, asks }) => {
      const names = [
        ...checksOfContracts(checks, role),
        ...(asks === null ? [] : checksOfContracts(asks.checksOf(service), role)),
      ];
      return [...new Set(names)].flatMap((check): NamedAnswer[] => {
        const stands = standing(checks[check], asks === null ? null : asks.of(service, check));
        if (stands === null) return [];
        const found = asked.find((one) => one.service === service && one.check === check);
        return [
          { service, check, there, ...stands, question: found?.question?.id ?? null, latest: latestOf(found?.latest) },
        ];
      });
    });
}

function verifiedOf({ provider, verifiers }: Pair, side: Side | undefined): readonly NamedAnswer[] | null {
  return side === undefined ? null : answersOf(side, 'verifies', verifiers, provider);
}
