import { z } from 'zod';

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
  graceMs: LocalConfig.shape.graceMs,
});
export type SwarmConfig = z.infer<typeof SwarmConfig>;

export const swarmStatement: DriverStatement<SwarmConfig> = {
  name: 'swarm',
  config: SwarmConfig,
  lacks: ['output', 'one-switch', 'isolation'],
};
