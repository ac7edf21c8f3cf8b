import { z } from 'zod';

import type { ProblemView } from '../../flow/view/project.ts';
import { view } from './view.ts';

/** What happened to something, as a part of an answer that itself went well. */
export const Problem = view<ProblemView>()('Problem', {
  code: z.string(),
  what: z.string(),
  fix: z.string(),
});

/** RFC 9457, with our three fields: a stable code, what happened, what to do. */
export const ProblemDocument = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string(),
    what: z.string(),
    fix: z.string(),
    requestId: z.string(),
    problems: z
      .array(z.object({ at: z.string(), what: z.string() }))
      .optional()
      .describe('One entry for each field that was wrong'),
  })
  .meta({ id: 'ProblemDocument' });
