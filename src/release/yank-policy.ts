import { z } from 'zod';

/** What becomes of artifacts that only yanked releases have. */
export interface YankPolicy {
  /** They go once no environment runs them, whatever branch, tag or rollback window names them. */
  readonly delete: boolean;
}

export const yankSchema: z.ZodType<YankPolicy, { delete?: boolean | undefined }> = z.strictObject({
  delete: z
    .boolean()
    .default(false)
    .describe(
      'Remove what only yanked releases have, once no environment runs it: no time of grace, no rollback window',
    ),
});
