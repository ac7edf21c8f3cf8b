import { z } from 'zod';

import { listOf, Name, Wait } from '../lib/fields.ts';
import type { Backing } from './backing.ts';
import { CHECK_TYPES, type CheckType } from './check-type.ts';
import { KeepPattern } from './kept-files.ts';

/**
 * When a question is asked: `build` before the artifact counts as built (a failure means that there is none),
 * `release` of the digests once they are there (gates read the answer), `deployment` of what runs in an environment.
 */
export type During = 'build' | 'release' | 'deployment';

/** A question asked of artifacts, as it stands in towpath.yaml. */
export interface CheckDefinition {
  readonly kind: string;
  readonly during: During;
  /** What sort of test it says it is. */
  readonly type: CheckType | null;
  /** Ask again even when the question and its digests are the same as before. */
  readonly always: boolean;
  readonly timeoutMs: number;
  /** How often it is asked once more when it did not pass. */
  readonly retries: number;
  /** The names of what must run beside it. */
  readonly with: readonly string[];
  /** What these names mean in this file. */
  readonly backing: Readonly<Record<string, Backing>>;
  /** Which of the files that it writes are kept for people to see. They say nothing of the answer. */
  readonly keep: readonly string[];
  /** The kind's own fields, defaults filled in. */
  readonly definition: unknown;
}

/** What an answer is about besides the artifact. */
export interface Comparison {
  /** Which lines of the service changed since the commit that its own is compared with. */
  readonly changes: boolean;
  /** The environment whose running artifact it is measured against. */
  readonly baseline: string | null;
}

/** What the configuration must know of a kind of check. */
export interface CheckFamily {
  readonly name: string;
  /** The kind's own fields; they stand beside the common ones, and at least one that is required tells the kinds apart. */
  readonly fields: z.ZodRawShape;
  /** What sort of test its checks are when neither they nor their names say. */
  readonly type?: CheckType;
  /** When it can be asked; the first is the default. */
  readonly during: readonly [During, ...During[]];
  /** What such a check compares with; a kind that compares nothing has none. */
  readonly compares?: (definition: unknown) => Comparison;
  /** Whether parts can run beside it. */
  readonly hasParts?: boolean;
  /** Whether files that it writes can be kept. */
  readonly hasFiles?: boolean;
  /** Its answer is about what is there now, whatever the artifact: a gate has to say how old it may be. */
  readonly isOfNow?: boolean;
  /** Whether its definition says that it writes pacts, or that it verifies those that others have with the service. */
  readonly contracts?: (definition: unknown) => 'writes' | 'verifies' | null;
}

/** The piece of towpath.yaml under `checks: { <name>: ... }`. */
export function checkSchema(kinds: readonly CheckFamily[]): z.ZodType<CheckDefinition> {
  const [first, ...rest] = kinds.map((kind) => schemaOfKind(kind));
  if (first === undefined) return z.never('no check: this installation has none');
  return z.union([first, ...rest]);
}

/** Fills in what the names under `with` mean; a name that means nothing stays a name. */
export function withBacking(check: CheckDefinition, backing: Readonly<Record<string, Backing>>): CheckDefinition {
  const known = check.with.flatMap((name) => {
    const found = Object.hasOwn(backing, name) ? backing[name] : undefined;
    return found === undefined ? [] : [[name, found] as const];
  });
  return { ...check, backing: Object.fromEntries(known) };
}

const With = listOf(Name).default([]).describe('Parts under `backing` that must run beside it');

const Keep = listOf(KeepPattern)
  .default([])
  .describe('Files that it writes and that are kept for people to see, such as playwright-report/ or shots/*.png');

function schemaOfKind(kind: CheckFamily): z.ZodType<CheckDefinition> {
  return z
    .strictObject({
      ...kind.fields,
      during: z.enum(kind.during).default(kind.during[0]).describe(`When it is asked (${kind.during[0]})`),
      type: z.enum(CHECK_TYPES).optional().describe('What sort of test it is: a label (what its name says)'),
      always: z.boolean().default(false).describe('Ask again though nothing changed (false)'),
      timeout: Wait.default(600_000).describe('How long it may take (10m)'),
      ...(kind.hasParts === true ? { with: With } : {}),
      ...(kind.hasFiles === true ? { keep: Keep } : {}),
      retries: z.int().min(0).max(5).default(0).describe('How often it is tried once more when it did not pass (0)'),
    })
    .transform((fields, context): CheckDefinition => {
      const { during, type = null, always, timeout, retries, with: parts, keep, ...definition } = Common.parse(fields);
      const compared = kind.compares?.(definition);
      if (during === 'build' && (compared?.changes === true || (compared?.baseline ?? null) !== null))
        context.addIssue({
          code: 'custom',
          path: ['during'],
          message: '`release` or `deployment`: what is built is the same whatever it is compared with',
        });
      const common = { during, type, always, timeoutMs: timeout, retries, with: parts, backing: {}, keep };
      return { kind: kind.name, ...common, definition };
    });
}

/** What `schemaOfKind` has made; the kind's own fields go through as they are. */
const Common = z.looseObject({
  during: z.enum(['build', 'release', 'deployment']),
  type: z.enum(CHECK_TYPES).optional(),
  always: z.boolean(),
  timeout: z.number(),
  retries: z.number(),
  with: z.array(z.string()).default([]),
  keep: z.array(z.string()).default([]),
});
