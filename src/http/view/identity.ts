import { z } from 'zod';

import type { Identity as IdentityOfJob } from '../../access/identity.ts';
import { Name, view } from './view.ts';

export const Identity = view<IdentityOfJob>()('Identity', {
  name: z.string().describe('Its name under `identities` in towpath.yaml'),
  issuer: z.string(),
  subject: z.string(),
  commit: z.string().nullable().describe('The only commit that the job may report; null where its issuer names none'),
  ref: z.string().nullable(),
  run: z.string().nullable().describe('The address of the run'),
});

export const IdentityToken = z
  .object({
    project: Name,
    token: z.string().min(1).max(20_000).describe('A JSON Web Token as the CI made it for this job'),
  })
  .meta({ id: 'IdentityToken' });
