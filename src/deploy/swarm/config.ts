import { z } from 'zod';

import { listOf, RelativePath } from '../../lib/fields.ts';
import { ComposeConfig, ComposeName } from '../compose/config.ts';
import { LocalConfig } from '../local.ts';
import type { DriverStatement } from '../statement.ts';

/** How the program of a service is asked, inside its container, whether it is well. */
const Probe = z.enum(['shell', 'node', 'image']);
export type Probe = z.infer<typeof Probe>;

export const SwarmConfig = z.strictObject({
  publish: z
    .enum(['proxy', 'ingress', 'host'])
    .default('proxy')
    .describe(
      'How a port is reached: `proxy`, by a port that each node chooses and the local proxy of the server in front; `ingress`, on every node by the routing mesh; `host`, on the nodes that run it',
    ),
  probe: Probe.default('shell').describe(
    'How Swarm asks for health inside the container: by `sh` with wget, curl or node; by `node` alone; or by the HEALTHCHECK of the `image`',
  ),
  parallelism: z
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(1)
    .describe('How many replicas are replaced at once; 0: all of them'),
  stack: listOf(RelativePath)
    .refine((files) => files.length > 0 && files.length <= 10, 'one to ten files')
    .optional()
    .describe(
      'The stack file (compose v3), from the root of the repository, that says what towpath.yaml has no words for; of several the later ones stand over the earlier ones',
    ),
  services: ComposeConfig.shape.services,
  outside: z
    .array(ComposeName)
    .max(100, 'at most 100 services')
    .default([])
    .describe('Services of the stack file that somebody else deploys'),
  graceMs: LocalConfig.shape.graceMs,
});
export type SwarmConfig = z.infer<typeof SwarmConfig>;

export const swarmStatement: DriverStatement<SwarmConfig> = {
  name: 'swarm',
  config: SwarmConfig,
  lacks: ['output', 'one-switch', 'isolation'],
};
