import type { DockerEngine } from '../../../container/docker/engine.ts';
import { CONFIGS, ensureContents } from '../contents.ts';
import { contentName, type Place } from '../names.ts';

/**
 * Sees to it that each config of a stack file is there under the name that its content gives it.
 * @returns as the file calls it -> as Swarm has it
 */
export async function ensureConfigs(
  engine: DockerEngine,
  place: Place,
  configs: ReadonlyMap<string, Buffer>,
): Promise<ReadonlyMap<string, { readonly id: string; readonly swarmName: string }>> {
  const named = [...configs].map(
    ([key, content]) => [key, content, contentName(place, key, content.toString('base64'))] as const,
  );
  const ids = await ensureContents(engine, place, CONFIGS, new Map(named.map(([, content, name]) => [name, content])));
  return new Map(named.map(([key, , swarmName]) => [key, { id: ids.get(swarmName) ?? '', swarmName }]));
}
