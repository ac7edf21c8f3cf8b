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
      bases: (definition) => basesOf(definition),
    },
    {
      name: 'dockerfile',
      definition: z.strictObject({ file: z.string().default('Dockerfile'), from: z.array(z.string()).optional() }),
      bases: (definition) => basesOf(definition),
    },
    { name: 'serverless', definition: z.strictObject({}), makes: 'zip' },
  ],
  drivers: [
    { name: 'process', config: z.strictObject({}), lacks: ['isolation', 'jobs'] },
    { name: 'docker', config: z.strictObject({ network: z.string().optional() }), lacks: ['jobs'] },
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

/** As the real builders have it: a bare name is a base service, an image has a tag. */
function basesOf(definition: unknown): string[] {
  const { from = [] } = z
    .looseObject({ from: z.union([z.string(), z.array(z.string())]).optional() })
    .parse(definition);
  return [from].flat().filter((name) => !name.includes(':'));
}
