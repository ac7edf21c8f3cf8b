import { z } from 'zod';

import type { DockerEngine } from '../../container/docker/engine.ts';
import { asked, askedToRemove } from '../../container/docker/error.ts';
import { allEnded } from '../../lib/all-ended.ts';
import type { Secrets } from '../../secret/secret.ts';
import { DeployError } from '../deploy-error.ts';
import { checkSecretNames } from '../docker/secrets.ts';
import type { DesiredService } from '../driver.ts';
import { SwarmObject, unless } from './api.ts';
import { type Place, placeFilter, placeLabels, secretName } from './names.ts';
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
  const contents = new Map(wanted.map(([file, value]) => [secretName(place, file, value), value]));
  const there = await listSecrets(engine, place);
  for (const [name, value] of contents) {
    if (!there.some(({ Spec }) => Spec.Name === name)) await create(engine, place, name, value);
  }
  const ids = new Map((await listSecrets(engine, place)).map(({ ID, Spec }) => [Spec.Name, ID]));
  return new Map(
    [...values].map(([service, each]) => [
      service,
      [...each].map(([file, value]) => {
        const swarmName = secretName(place, file, value);
        return { id: ids.get(swarmName) ?? '', swarmName, file };
      }),
    ]),
  );
}

/** Removes what no service uses any more. Swarm itself refuses to remove one that is in use. */
export async function sweepSecrets(engine: DockerEngine, place: Place): Promise<void> {
  const all = await listSecrets(engine, place);
  await allEnded(
    all.map(({ ID }) =>
      askedToRemove(
        'remove a secret',
        unless(
          400,
          engine.docker
            .getSecret(ID)
            .remove()
            .then(() => true),
        ),
      ),
    ),
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

async function listSecrets(engine: DockerEngine, place: Place): Promise<SwarmObject[]> {
  const filters = JSON.stringify({ label: placeFilter(place) });
  return z.array(SwarmObject).parse(await asked('list secrets', engine.docker.listSecrets({ filters })));
}

async function create(engine: DockerEngine, place: Place, name: string, value: string): Promise<void> {
  const spec = { Name: name, Labels: placeLabels(place), Data: Buffer.from(value).toString('base64') };
  const created = engine.docker.createSecret(spec).then(() => true);
  await asked('make a secret', unless(409, created)); // 409: of two that ask at once one is first
}

function checkSize(name: string, bytes: number): void {
  if (bytes > 0 && bytes < LARGEST) return;
  throw new DeployError({
    code: 'swarm.secret-size',
    what: `The secret "${name}" has ${bytes} bytes; a Swarm takes from 1 to ${LARGEST - 1}.`,
    fix: 'Give it a value of that size, or leave it away.',
  });
}
