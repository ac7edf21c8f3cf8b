import { z } from 'zod';

import { Wait } from '../lib/fields.ts';

/**
 * When a question is asked: `build` before the artifact counts as built (a failure means that there is none),
 * `release` of the digests once they are there (gates read the answer), `deployment` of what runs in an environment.
 */
export type During = 'build' | 'release' | 'deployment';

/** A question asked of artifacts, as it stands in towpath.yaml. */
export interface CheckDefinition {
  readonly kind: string;
  readonly during: During;
  /** Ask again even when the question and its digests are the same as before. */
  readonly always: boolean;
  readonly timeoutMs: number;
  /** How often it is asked once more when it did not pass. */
  readonly retries: number;
  /** The kind's own fields, defaults filled in. */
  readonly definition: unknown;
}

/** What the configuration must know of a kind of check. */
export interface CheckFamily {
  readonly name: string;
  /** The kind's own fields; they stand beside the common ones, and at least one that is required tells the kinds apart. */
  readonly fields: z.ZodRawShape;
  /** When it can be asked; the first is the default. */
  readonly during: readonly [During, ...During[]];
}

/** The piece of towpath.yaml under `checks: { <name>: ... }`. */
export function checkSchema(kinds: readonly CheckFamily[]): z.ZodType<CheckDefinition> {
  const [first, ...rest] = kinds.map((kind) => schemaOfKind(kind));
  if (first === undefined) return z.never('no check: this installation has none');
  return z.union([first, ...rest]);
}

function schemaOfKind(kind: CheckFamily): z.ZodType<CheckDefinition> {
  return z
    .strictObject({
      ...kind.fields,
      during: z.enum(kind.during).default(kind.during[0]).describe(`When it is asked (${kind.during[0]})`),
      always: z.boolean().default(false).describe('Ask again though nothing changed (false)'),
      timeout: Wait.default(600_000).describe('How long it may take (10m)'),
      retries: z.int().min(0).max(5).default(0).describe('How often it is tried once more when it did not pass (0)'),
    })
    .transform((fields): CheckDefinition => {
      const { during, always, timeout, retries, ...definition } = Common.parse(fields);
      return { kind: kind.name, during, always, timeoutMs: timeout, retries, definition };
    });
}

/** What `schemaOfKind` has made; the kind's own fields go through as they are. */
const Common = z.looseObject({
  during: z.enum(['build', 'release', 'deployment']),
  always: z.boolean(),
  timeout: z.number(),
  retries: z.number(),
});
