import type { DockerEngine } from './engine.ts';
import { asked, askedFor, askedToRemove } from './error.ts';

/**
 * Sees to it that a bridge network of this name exists. Names are not unique to the engine: two that ask at once could
 * make two, so it is told to refuse the second, and the first one's is used.
 */
export async function ensureNetwork(
  engine: DockerEngine,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  if (await hasNetwork(engine, name)) return;
  try {
    await asked(
      `make the network ${name}`,
      engine.docker.createNetwork({ Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: { ...labels } }),
    );
  } catch (error) {
    if (!(await hasNetwork(engine, name))) throw error;
  }
}

/** Fails while containers are in it; one that is gone is removed already. */
export async function removeNetwork(engine: DockerEngine, name: string): Promise<void> {
  await askedToRemove(`remove the network ${name}`, engine.docker.getNetwork(name).remove());
}

export async function listNetworks(
  engine: DockerEngine,
  labels: Readonly<Record<string, string>>,
): Promise<{ readonly name: string; readonly labels: Readonly<Record<string, string>> }[]> {
  const filters = { label: Object.entries(labels).map(([name, value]) => `${name}=${value}`) };
  const found = await asked('list networks', engine.docker.listNetworks({ filters }));
  return found.map(({ Name, Labels }) => ({ name: Name, labels: Labels ?? {} }));
}

async function hasNetwork(engine: DockerEngine, name: string): Promise<boolean> {
  return (await askedFor(`look at the network ${name}`, engine.docker.getNetwork(name).inspect())) !== null;
}
