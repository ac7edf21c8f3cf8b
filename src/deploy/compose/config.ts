import { z } from 'zod';

import { listOf, Name, RelativePath } from '../../lib/fields.ts';
import { LocalConfig } from '../local.ts';
import type { DriverStatement } from '../statement.ts';

/** As the compose specification has names of services, profiles, networks and volumes. */
export const ComposeName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/, 'a name as compose files have them');

export const ComposeConfig = z.strictObject({
  file: listOf(RelativePath)
    .refine((files) => files.length > 0 && files.length <= 10, 'one to ten files')
    .default(['compose.yaml'])
    .describe(
      'The compose file, from the root of the repository; of several the later ones stand over the earlier ones',
    ),
  profiles: z
    .array(ComposeName)
    .max(20, 'at most 20 profiles')
    .default([])
    .describe('The profiles that are active here'),
  services: z
    .record(Name, ComposeName)
    .default({})
    .describe('Service of towpath.yaml -> what the compose file calls it, where that is another name'),
  publish: z
    .array(ComposeName)
    .default([])
    .describe('Services that Towpath does not build and whose `ports` are opened on the loopback of the machine'),
  unpinned: z
    .enum(['warn', 'refuse'])
    .default('warn')
    .describe('What is done about an image without a digest, of a service that Towpath does not build'),
  volumes: z
    .enum(['keep', 'remove'])
    .default('keep')
    .describe('What becomes of volumes that are made from now on, when the environment ends'),
  ...LocalConfig.shape,
});
export type ComposeConfig = z.infer<typeof ComposeConfig>;

export const composeStatement: DriverStatement<ComposeConfig> = {
  name: 'compose',
  config: ComposeConfig,
  lacks: ['isolation'],
};

/** What the compose file calls a service of the release. */
export function nameIn({ services }: Pick<ComposeConfig, 'services'>, service: string): string {
  return Object.hasOwn(services, service) ? (services[service] ?? service) : service;
}
