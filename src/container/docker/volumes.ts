import type { DockerEngine } from './engine.ts';
import { asked, askedToRemove } from './error.ts';

export interface EngineVolume {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** One that is there stays as it is, with what lies in it. */
export async function ensureVolume(
  engine: DockerEngine,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  await asked(`make the volume ${name}`, engine.docker.createVolume({ Name: name, Labels: { ...labels } }));
}

export async function listVolumes(
  engine: DockerEngine,
  labels: Readonly<Record<string, string>>,
): Promise<EngineVolume[]> {
  const filters = JSON.stringify({ label: Object.entries(labels).map(([name, value]) => `${name}=${value}`) });
  const { Volumes } = await asked('list volumes', engine.docker.listVolumes({ filters }));
  return Volumes.map(({ Name, Labels }) => ({ name: Name, labels: Labels }));
}

/** Fails while a container has it; one that is gone is removed already. */
export async function removeVolume(engine: DockerEngine, name: string): Promise<void> {
  await askedToRemove(`remove the volume ${name}`, engine.docker.getVolume(name).remove());
}
