import type { ApplyContext, Desired } from '../driver.ts';
import type { KubernetesConfig } from './config.ts';
import { registryOutOfReach } from './deployment-error.ts';
import { fill } from './fill.ts';
import { generate } from './generate.ts';
import type { Manifest } from './manifest.ts';
import type { Place } from './names.ts';
import { readManifests } from './read-manifests.ts';
import type { Renderer } from './render.ts';
import { secretNames, type Values } from './secrets.ts';

/** All objects of an operation, filled in. @throws DeployError `kubernetes.*` */
export async function manifestsOf(
  { place, renderer }: { readonly place: Place; readonly renderer: Renderer },
  desired: Desired<KubernetesConfig>,
  values: Values,
  { log, signal }: Pick<ApplyContext, 'log' | 'signal'>,
): Promise<Manifest[]> {
  // what is called localhost is a registry that the nodes have under that name, as those of MicroK8s and kind
  const near = desired.services.find(({ image }) => /^(?:127\.|\[::1\])/.test(image));
  if (near !== undefined) throw registryOutOfReach(near.image);
  const secrets = secretNames(place, values);
  const parts = { place, desired, secrets, log };
  const own = await readManifests(desired, renderer, { namespace: place.namespace, signal });
  if (own !== null) return fill(own, parts);
  return desired.services.flatMap((service) =>
    fill(generate(service, desired.config), { ...parts, desired: { ...desired, services: [service] } }),
  );
}
