import type { z } from 'zod';

import { LocalConfig } from './local.ts';

/**
 * The drivers that there are, with the settings that each takes under `deploy:`. A new driver is a folder beside this
 * file and a line here; `main.ts` gives it its tools.
 */
export const driverConfigs = {
  process: LocalConfig,
  docker: LocalConfig,
} as const satisfies Record<string, z.ZodType>;
