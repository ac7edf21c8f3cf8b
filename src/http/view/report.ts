import { z } from 'zod';

import type { ReportView } from '../../flow/view/report.ts';
import { type Digest, isDigest } from '../../lib/digest.ts';
import { Problem } from './problem.ts';
import { Identity } from './identity.ts';
import { DigestText, Instant, Name, view } from './view.ts';

export const Report = view<ReportView>()('Report', {
  id: z.string(),
  project: z.string(),
  service: z.string(),
  commit: z.string(),
  digest: DigestText,
  image: z.string().nullable(),
  state: z.enum(['waiting', 'checking', 'accepted', 'refused']),
  by: z.string(),
  identity: Identity.nullable(),
  at: Instant,
  endedAt: Instant.nullable(),
  until: Instant.nullable().describe('Until when its commit is waited for'),
  key: z.string().nullable(),
  problem: Problem.nullable(),
});

export const ReportRequest = z
  .object({
    service: Name,
    commit: z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/, 'all digits of a commit'),
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/, 'sha256: and 64 hex digits')
      .transform((text, context): Digest => {
        if (isDigest(text)) return text;
        context.addIssue({ code: 'custom', message: 'a digest' });
        return z.NEVER;
      }),
    image: z
      .string()
      .regex(/^[a-zA-Z0-9.:-]+(?:\/[a-z0-9._-]+)+$/, 'registry and repository, without tag and digest')
      .max(300)
      .optional()
      .describe('Registry and repository; where towpath.yaml names them whole it may be left out'),
    provenance: z
      .string()
      .max(512 * 1024)
      .optional()
      .describe('The text of a file with SLSA provenance: bare, in DSSE, or in Sigstore bundles'),
  })
  .meta({ id: 'ReportRequest' });
