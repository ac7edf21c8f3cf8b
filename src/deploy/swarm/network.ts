import type { DockerEngine } from '../../container/docker/engine.ts';
import { asked, askedFor, askedToRemove, statusOf } from '../../container/docker/error.ts';
import { untilTrue } from '../../lib/until.ts';
import { type Place, placeLabels, placeName } from './names.ts';

/** Tasks leave it some time after their service is gone. */
const LEAVING_MS = 30_000;

/** Sees to it that the place has its private network over all nodes. */
export async function ensureNetwork(engine: DockerEngine, place: Place): Promise<void> {
  const name = placeName(place);
  if (await hasNetwork(engine, name)) return;
  const spec = { Name: name, Driver: 'overlay', CheckDuplicate: true, Attachable: false, Labels: placeLabels(place) };
  try {
    await asked(`make the network ${name}`, engine.docker.createNetwork(spec));
  } catch (error) {
    if (!(await hasNetwork(engine, name))) throw error;
  }
}

/** One that is gone is removed already; one that tasks still leave is removed when they have. */
export async function removeNetwork(engine: DockerEngine, place: Place, signal: AbortSignal): Promise<void> {
  const name = placeName(place);
  let last: unknown;
  const removed = await untilTrue(
    async () => {
      const network = engine.docker.getNetwork(name);
      try {
        await network.remove();
      } catch (error) {
        if (statusOf(error) === 404) return !(await hasNetwork(engine, name));
        last = error;
      }
      return !(await hasNetwork(engine, name));
    },
    { everyMs: 200, timeoutMs: LEAVING_MS, signal },
  );
  if (!removed) await askedToRemove(`remove the network ${name}`, Promise.reject(last));
}

async function hasNetwork(engine: DockerEngine, name: string): Promise<boolean> {
  return (await askedFor(`look at the network ${name}`, engine.docker.getNetwork(name).inspect())) !== null;
}
