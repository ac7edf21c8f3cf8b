import type { DockerEngine } from '../../container/docker/engine.ts';
import type { Secrets } from '../../secret/secret.ts';
import { DeployError } from '../deploy-error.ts';
import { checkSecretNames } from '../docker/secrets.ts';
import type { DesiredService } from '../driver.ts';
import { ensureContents, SECRETS } from './contents.ts';
import { contentName, type Place } from './names.ts';
import type { GivenSecret } from './spec.ts';

/** What Swarm takes for one secret, in bytes. */
const LARGEST = 500 * 1024;

/**
 * Sees to it that each secret of a deployment is there under the name that its content gives it.
 * @returns service -> its secrets
 * @throws DeployError `deploy.secret-name`, `swarm.secret-size`; SecretError when one cannot be resolved
 */
export async function ensureSecrets(
  engine: DockerEngine,
  place: Place,
  services: readonly DesiredService[],
  secrets: Secrets,
): Promise<ReadonlyMap<string, readonly GivenSecret[]>> {
  const values = await valuesOf(services, secrets);
  const wanted = [...values.values()].flatMap((each) => [...each]);
  const contents = new Map(wanted.map(([file, value]) => [contentName(place, file, value), Buffer.from(value)]));
  const ids = await ensureContents(engine, place, SECRETS, contents);
  return new Map(
    [...values].map(([service, each]) => [
      service,
      [...each].map(([file, value]) => {
        const swarmName = contentName(place, file, value);
        return { id: ids.get(swarmName) ?? '', swarmName, file };
      }),
    ]),
  );
}

/** Service -> file -> value, all resolved a moment ago. */
export async function valuesOf(
  services: readonly DesiredService[],
  secrets: Secrets,
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const all = await Promise.all(
    services.map(async ({ service, secrets: references }) => {
      const named = Object.entries(references);
      const values = await Promise.all(named.map(([, reference]) => secrets.resolve(reference)));
      const each = new Map(named.map(([name], index) => [name, values[index] ?? '']));
      checkSecretNames(each);
      for (const [name, value] of each) checkSize(name, Buffer.byteLength(value));
      return [service, each] as const;
    }),
  );
  return new Map(all);
}

function checkSize(name: string, bytes: number): void {
  if (bytes > 0 && bytes < LARGEST) return;
  throw new DeployError({
    code: 'swarm.secret-size',
    what: `The secret "${name}" has ${bytes} bytes; a Swarm takes from 1 to ${LARGEST - 1}.`,
    fix: 'Give it a value of that size, or leave it away.',
  });
}
