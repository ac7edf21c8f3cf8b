import { z } from 'zod';

import type { Families } from '../config.ts';

/** Families like the real ones, so that tests of the configuration do not change with a plug-in. */
export const families: Families = {
  builders: [
    {
      name: 'node',
      definition: z.strictObject({
        start: z.string(),
        from: z.string().optional(),
        exclude: z.array(z.string()).default([]),
      }),
    },
    { name: 'dockerfile', definition: z.strictObject({ file: z.string().default('Dockerfile') }) },
    { name: 'serverless', definition: z.strictObject({}), makes: 'zip' },
  ],
  drivers: [
    { name: 'process', config: z.strictObject({}) },
    { name: 'docker', config: z.strictObject({ network: z.string().optional() }) },
  ],
  checks: [
    {
      name: 'command',
      fields: { run: z.string(), junit: z.string().optional() },
      during: ['release', 'build', 'deployment'],
    },
    {
      name: 'http-probe',
      fields: { http: z.strictObject({ path: z.string(), status: z.int().default(200) }) },
      during: ['deployment'],
    },
  ],
};
