import { z } from 'zod';

import { Duration } from '../lib/fields.ts';
import { FreezeWindow } from './freeze-window.ts';
import { faultOf } from './rule.ts';

/** A condition that must hold before a release moves in. */
export type Gate =
  /** The image is the very one that was tested on the branch. */
  | { readonly kind: 'unchanged' }
  /** What would run there keeps to what its consumers expect. */
  | { readonly kind: 'can-i-deploy' }
  /** The latest answer of the check of this name, for every service that has one, is a pass, and not older than `freshMs`. */
  | { readonly kind: 'check'; readonly name: string; readonly freshMs?: number }
  | {
      readonly kind: 'approvals';
      /** A role, or people by their names. */
      readonly of: string | readonly string[];
      readonly count: number;
      readonly expiresMs: number;
    }
  /** The release has run in the environment before for so long. */
  | { readonly kind: 'soak'; readonly ms: number }
  | { readonly kind: 'freeze'; readonly windows: readonly FreezeWindow[] }
  /** An expression in CEL over what is known of the promotion is true; `says` is what it means, as a sentence. */
  | { readonly kind: 'rule'; readonly rule: string; readonly says: string };

/** Gates that have a name of their own: a check may not be called so. */
export const GATE_WORDS = ['unchanged', 'can-i-deploy'] as const;

function isGateWord(word: string): word is (typeof GATE_WORDS)[number] {
  return GATE_WORDS.some((known) => known === word);
}

const Approvals = z.strictObject({
  of: z
    .union([z.string(), z.array(z.string().min(1)).min(1, 'at least one user')], 'a role, or a list of users')
    .describe('A role of this file, or users by their names'),
  count: z.int().min(1).max(100).default(1).describe('How many different people (1)'),
  expires: Duration.default(604_800_000).describe('How long an approval counts (7d)'),
});

/** The piece of towpath.yaml under `gates: [ ... ]`. */
export const GateSchema = z.union([
  z.string('a gate').transform((word): Gate => (isGateWord(word) ? { kind: word } : { kind: 'check', name: word })),
  z
    .strictObject({
      check: z.string().describe('A check'),
      fresh: Duration.refine((ms) => ms >= 60_000, 'at least 1m').describe('How old its answer may be'),
    })
    .transform(({ check, fresh }): Gate => ({ kind: 'check', name: check, freshMs: fresh })),
  z
    .strictObject({
      rule: z
        .string()
        .min(1)
        .max(1000)
        .superRefine((rule, context) => {
          const fault = faultOf(rule);
          if (fault !== null)
            context.addIssue({ code: 'custom', message: `a rule in CEL that can be answered: ${fault}` });
        })
        .describe('An expression in CEL (cel.dev) that must be true'),
      says: z.string().min(1).max(300).describe('What it means, as a sentence: what who is refused reads'),
    })
    .transform(({ rule, says }): Gate => ({ kind: 'rule', rule, says })),
  z
    .strictObject({
      approvals: Approvals.optional().describe('People of a role must agree'),
      soak: Duration.optional().describe('It must have run in the environment before for so long'),
      freeze: z.array(FreezeWindow).min(1).optional().describe('Times in which nothing moves in'),
    })
    .refine((gate) => Object.keys(gate).length === 1, 'exactly one of approvals, soak, freeze')
    .meta({ minProperties: 1, maxProperties: 1 })
    .transform(({ approvals, soak, freeze }): Gate => {
      if (approvals !== undefined)
        return { kind: 'approvals', of: approvals.of, count: approvals.count, expiresMs: approvals.expires };
      return soak === undefined ? { kind: 'freeze', windows: freeze ?? [] } : { kind: 'soak', ms: soak };
    }),
]);
