import { z } from 'zod';

import type { DockerEngine } from '../../container/docker/engine.ts';
import { asked, askedToRemove } from '../../container/docker/error.ts';
import { allEnded } from '../../lib/all-ended.ts';
import { SwarmObject, unless } from './api.ts';
import { LABEL, type Place, placeFilter, placeLabels } from './names.ts';

/** The two that Swarm keeps and gives to tasks as files: neither ever changes, so another content is another name. */
export interface Kind {
  readonly name: 'secret' | 'config';
  list(engine: DockerEngine, options: { filters: string }): Promise<unknown>;
  create(engine: DockerEngine, spec: object): Promise<unknown>;
  remove(engine: DockerEngine, id: string): Promise<unknown>;
  /** What tells it from others of its place. */
  readonly labels: Readonly<Record<string, string>>;
}

export const SECRETS: Kind = {
  name: 'secret',
  list: ({ docker }, options) => docker.listSecrets(options),
  create: ({ docker }, spec) => docker.createSecret(spec),
  remove: ({ docker }, id) => docker.getSecret(id).remove(),
  labels: {},
};

export const CONFIGS: Kind = {
  name: 'config',
  list: ({ docker }, options) => docker.listConfigs(options),
  create: ({ docker }, spec) => docker.createConfig(spec),
  remove: ({ docker }, id) => docker.getConfig(id).remove(),
  labels: { [LABEL.of]: 'stack-file' }, // the record of who writes to the place is a config too
};

/**
 * Sees to it that contents are there under the names that they give.
 * @returns name -> id
 */
export async function ensureContents(
  engine: DockerEngine,
  place: Place,
  kind: Kind,
  contents: ReadonlyMap<string, Buffer>,
): Promise<ReadonlyMap<string, string>> {
  if (contents.size === 0) return new Map();
  const there = await list(engine, place, kind);
  for (const [name, content] of contents) {
    if (there.some(({ Spec }) => Spec.Name === name)) continue;
    const spec = { Name: name, Labels: { ...placeLabels(place), ...kind.labels }, Data: content.toString('base64') };
    const created = kind.create(engine, spec).then(() => true);
    await asked(`make a ${kind.name}`, unless(409, created)); // 409: of two that ask at once one is first
  }
  return new Map((await list(engine, place, kind)).map(({ ID, Spec }) => [Spec.Name, ID]));
}

/** Removes what no service uses any more. Swarm itself refuses to remove one that is in use. */
export async function sweepContents(engine: DockerEngine, place: Place, kind: Kind): Promise<void> {
  const all = await list(engine, place, kind);
  await allEnded(
    all.map(({ ID }) => {
      const removed = kind.remove(engine, ID).then(() => true);
      return askedToRemove(`remove a ${kind.name}`, unless(400, removed));
    }),
  );
}

async function list(engine: DockerEngine, place: Place, kind: Kind): Promise<SwarmObject[]> {
  const own = Object.entries(kind.labels).map(([name, value]) => `${name}=${value}`);
  const filters = JSON.stringify({ label: [...placeFilter(place), ...own] });
  return z.array(SwarmObject).parse(await asked(`list ${kind.name}s`, kind.list(engine, { filters })));
}
