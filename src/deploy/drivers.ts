import type { z } from 'zod';

import { ComposeConfig } from './compose/config.ts';
import { GitopsConfig } from './gitops/config.ts';
import { KubernetesConfig } from './kubernetes/config.ts';
import { LocalConfig } from './local.ts';
import { SwarmConfig } from './swarm/config.ts';

/**
 * The drivers that there are, with the settings that each takes under `deploy:`. A new driver is a folder beside this
 * file and a line here; `main.ts` gives it its tools.
 */
export const driverConfigs = {
  process: LocalConfig,
  docker: LocalConfig,
  gitops: GitopsConfig,
  swarm: SwarmConfig,
  compose: ComposeConfig,
  kubernetes: KubernetesConfig,
} as const satisfies Record<string, z.ZodType>;

/** Those that run programs of a release before it: migrations. */
export const jobDrivers: readonly string[] = [
  'process',
  'docker',
  'compose',
  'swarm',
  'kubernetes',
] satisfies (keyof typeof driverConfigs)[];

/** Those that keep what strangers wrote from the machine's own files, network and other services. */
export const isolatingDrivers: readonly string[] = ['docker'] satisfies (keyof typeof driverConfigs)[];

/** Those that write images somewhere and nothing else: they give no settings, and end nothing that runs. */
export const imagesOnlyDrivers: readonly string[] = ['gitops'] satisfies (keyof typeof driverConfigs)[];
