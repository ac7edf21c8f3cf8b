import { z } from 'zod';

import type { DockerEngine } from '../../container/docker/engine.ts';
import { asked, askedFor, askedToRemove, statusOf } from '../../container/docker/error.ts';
import { untilTrue } from '../../lib/until.ts';
import { networkName, type Place, placeFilter, placeLabels } from './names.ts';
import { networkDiffers } from './swarm-error.ts';

export interface NetworkWish {
  /** Leads to nothing outside. */
  readonly internal: boolean;
  readonly encrypted: boolean;
}

export const PLAIN_NETWORK: NetworkWish = { internal: false, encrypted: false };

const Network = z.object({
  Name: z.string(),
  Internal: z.boolean().optional(),
  Options: z.record(z.string(), z.string()).nullish(),
});

/** Tasks leave it some time after their service is gone. */
const LEAVING_MS = 30_000;

/**
 * Sees to it that the place has its private networks over all nodes.
 * @param wishes by what the stack file calls them
 * @throws DeployError `swarm.network-differs`: one that is there with other settings cannot be changed
 */
export async function ensureNetworks(
  engine: DockerEngine,
  place: Place,
  wishes: ReadonlyMap<string, NetworkWish>,
): Promise<void> {
  for (const [key, wish] of wishes) {
    const name = networkName(place, key);
    const there = (await inspect(engine, name)) ?? (await make(engine, place, name, wish));
    if (there === null) continue;
    const isEncrypted = there.Options?.['encrypted'] !== undefined;
    if ((there.Internal ?? false) !== wish.internal || isEncrypted !== wish.encrypted) throw networkDiffers(key);
  }
}

/** @returns null when it was made; the one that somebody else made first */
async function make(
  engine: DockerEngine,
  place: Place,
  name: string,
  { internal, encrypted }: NetworkWish,
): Promise<z.infer<typeof Network> | null> {
  const spec = {
    Name: name,
    Driver: 'overlay',
    CheckDuplicate: true,
    Attachable: false,
    Internal: internal,
    Labels: placeLabels(place),
    ...(encrypted ? { Options: { encrypted: '' } } : {}),
  };
  try {
    await asked(`make the network ${name}`, engine.docker.createNetwork(spec));
    return null;
  } catch (error) {
    const there = await inspect(engine, name);
    if (there === null) throw error;
    return there;
  }
}

/** Removes those of a place that nobody named. One that tasks still leave is removed when they have. */
export async function removeNetworks(
  engine: DockerEngine,
  place: Place,
  signal: AbortSignal,
  kept: Iterable<string> = [],
): Promise<void> {
  const names = new Set([...kept].map((key) => networkName(place, key)));
  const filters = JSON.stringify({ label: placeFilter(place) });
  const all = z.array(Network).parse(await asked('list networks', engine.docker.listNetworks({ filters })));
  for (const { Name } of all) if (!names.has(Name)) await remove(engine, Name, signal);
}

async function remove(engine: DockerEngine, name: string, signal: AbortSignal): Promise<void> {
  let last: unknown;
  const removed = await untilTrue(
    async () => {
      try {
        await engine.docker.getNetwork(name).remove();
      } catch (error) {
        if (statusOf(error) !== 404) last = error;
      }
      return (await inspect(engine, name)) === null;
    },
    { everyMs: 200, timeoutMs: LEAVING_MS, signal },
  );
  if (!removed) await askedToRemove(`remove the network ${name}`, Promise.reject(last));
}

async function inspect(engine: DockerEngine, name: string): Promise<z.infer<typeof Network> | null> {
  const found: unknown = await askedFor(`look at the network ${name}`, engine.docker.getNetwork(name).inspect());
  return found === null ? null : Network.parse(found);
}
