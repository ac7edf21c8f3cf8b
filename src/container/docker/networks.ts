import type { DockerEngine } from './engine.ts';
import { asked, askedFor, askedToRemove, statusOf } from './error.ts';

/**
 * Sees to it that a bridge network of this name exists. Names are not unique to the engine: two that ask at once could
 * make two, so it is told to refuse the second, and the first one's is used.
 * @param options.internal it leads nowhere but to what is in it
 */
export async function ensureNetwork(
  engine: DockerEngine,
  name: string,
  labels: Readonly<Record<string, string>>,
  { internal = false }: { readonly internal?: boolean } = {},
): Promise<void> {
  if (await hasNetwork(engine, name)) return;
  const spec = { Name: name, Driver: 'bridge', CheckDuplicate: true, Internal: internal, Labels: { ...labels } };
  try {
    await asked(`make the network ${name}`, engine.docker.createNetwork(spec));
  } catch (error) {
    if (!(await hasNetwork(engine, name))) throw error;
  }
}

/** Fails while containers are in it; one that is gone is removed already. */
export async function removeNetwork(engine: DockerEngine, name: string): Promise<void> {
  await askedToRemove(`remove the network ${name}`, engine.docker.getNetwork(name).remove());
}

/** Lets a container into one more network, while it runs; one that is in it already stays. */
export async function joinNetwork(engine: DockerEngine, name: string, container: string): Promise<void> {
  const join = engine.docker.getNetwork(name).connect({ Container: container });
  await asked(
    `let a container into the network ${name}`,
    join.catch((error: unknown) => {
      if (statusOf(error) !== 403 || !/already exists in network/.test(String(error))) throw error;
    }),
  );
}

/** Sends whoever is in it out of it, then removes it. */
export async function emptyNetwork(engine: DockerEngine, name: string): Promise<void> {
  const network = engine.docker.getNetwork(name);
  const found = await askedFor(
    `look at the network ${name}`,
    network.inspect() as Promise<{ readonly Containers?: Readonly<Record<string, unknown>> | null }>,
  );
  for (const id of Object.keys(found?.Containers ?? {})) {
    await askedToRemove(`send a container out of ${name}`, network.disconnect({ Container: id, Force: true }));
  }
  await removeNetwork(engine, name);
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
