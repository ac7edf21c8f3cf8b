import { listPins, type Pin, pinBase, pinsOf } from '../artifact/pin-store.ts';
import { imagesOf, type PinsOf } from '../check/backing.ts';
import type { CheckDefinition } from '../check/check.ts';
import type { ProjectConfig } from '../config/config.ts';
import { configsInForce } from '../config/config-store.ts';
import type { Digest } from '../lib/digest.ts';
import { hasCode, problemOf, TowpathError } from '../lib/error.ts';
import type { Sql } from '../store/database.ts';
import type { House } from './house.ts';

/** A check of a service, as far as its parts matter. */
export interface CheckWithParts {
  readonly service: string;
  readonly name: string;
  readonly check: CheckDefinition;
}

export function checksWithParts({ services }: Pick<ProjectConfig, 'services'>): CheckWithParts[] {
  return Object.entries(services).flatMap(([service, { checks }]) =>
    // what an earlier version has read and kept says nothing of parts
    Object.entries(checks).flatMap(([name, check]) =>
      Object.keys((check as Partial<CheckDefinition>).backing ?? {}).length === 0 ? [] : [{ service, name, check }],
    ),
  );
}

/** Pins with the services that use them: built upon them, or with checks that have them beside on a default branch. */
export async function pinsInUse(db: Sql, projectId: string): Promise<Pin[]> {
  const [pins, configs] = await Promise.all([listPins(db, projectId), configsInForce(db, projectId)]);
  const users = configs.flatMap((config) =>
    checksWithParts(config).flatMap(({ service, check }) =>
      imagesOf(check.backing).map((image) => ({ service, image })),
    ),
  );
  return pins.map((pin) => {
    const beside = users.flatMap(({ service, image }) => (image === pin.reference ? [service] : []));
    return { ...pin, services: [...new Set([...pin.services, ...beside])].toSorted() };
  });
}

/**
 * The pins of all images that may run beside these checks; one that has none yet is resolved here, once.
 * @throws TowpathError `check.no-part`, `source.fork-part` when strangers name one that has no pin
 */
export async function pinParts(
  house: House,
  projectId: string,
  checks: readonly CheckWithParts[],
  { isOfStrangers = false }: { readonly isOfStrangers?: boolean } = {},
): Promise<PinsOf> {
  const wanted = checks.flatMap((one) => imagesOf(one.check.backing).map((image) => ({ ...one, image })));
  const known = await pinsOf(house.store.db, projectId, [...new Set(wanted.map(({ image }) => image))]);
  for (const { service, name, image } of wanted) {
    if (known[image] !== undefined) continue;
    const who = `The check "${name}" of "${service}" wants ${image} beside it`;
    if (isOfStrangers) throw foreignPart(who);
    known[image] = await pinBase(house.store.db, projectId, image, await resolve(house, who, image), 'towpath');
  }
  return known;
}

async function resolve(house: House, who: string, image: string): Promise<Digest> {
  const digest = await house.resolveBase(image).catch((error: unknown) => {
    if (!hasCode(error)) throw error;
    const { code, what, fix } = problemOf(error);
    throw new TowpathError({ code, what: `${who}, which cannot be looked up: ${what}`, fix }, { cause: error });
  });
  if (digest !== null) return digest;
  throw new TowpathError({
    code: 'check.no-part',
    what: `${who}, which is not in its registry.`,
    fix: 'Correct `image` under `backing`, or push the image; a registry that asks for a login reads the credentials of `docker login`.',
  });
}

/** Images are read with the credentials of this machine. */
function foreignPart(who: string): TowpathError {
  return new TowpathError({
    code: 'source.fork-part',
    what: `The commit comes from a fork. ${who}, which nothing of this project had beside it before.`,
    fix: 'Push the commit to a branch of this repository if it is good.',
  });
}
