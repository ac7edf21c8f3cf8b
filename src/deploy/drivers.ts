import { composeStatement } from './compose/config.ts';
import { dockerStatement } from './docker/config.ts';
import { gitopsStatement } from './gitops/config.ts';
import { kubernetesStatement } from './kubernetes/config.ts';
import { processStatement } from './process/config.ts';
import type { DriverStatement } from './statement.ts';
import { swarmStatement } from './swarm/config.ts';

/**
 * The drivers of this version, each as it speaks of itself. A new driver is a folder beside this file and a line here;
 * `plugins.ts` gives it its tools.
 */
export const drivers: readonly DriverStatement[] = [
  processStatement,
  dockerStatement,
  gitopsStatement,
  swarmStatement,
  composeStatement,
  kubernetesStatement,
];
