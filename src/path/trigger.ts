import { z } from 'zod';

/** What brings a release in by itself. Patterns are globs over the short name of the ref (`feature/*`, `v*`). */
export type Trigger =
  | { readonly kind: 'branch' | 'merge' | 'tag' | 'release-branch'; readonly pattern: string }
  /** Of forks alone: a pull request of the repository itself has a branch there. */
  | { readonly kind: 'pull-request'; readonly pattern: 'forks' }
  | { readonly kind: 'manual' };

const KINDS = ['branch', 'merge', 'tag', 'release-branch'] as const;
const NAMES = [...KINDS, 'pull-request'].join(', ');

const Pattern = z
  .string('a pattern of names such as "feature/*"')
  .min(1, 'a pattern of names such as "feature/*"')
  .max(250, 'a pattern of at most 250 characters')
  .regex(/^[^\s\p{Cc}~^:\\]+$/u, 'a pattern that a git ref could match: no spaces, no ~ ^ : \\')
  .refine((pattern) => !pattern.startsWith('refs/'), 'the short name, without refs/heads/ or refs/tags/');

/** The piece of towpath.yaml under `on:`. */
export const TriggerSchema = z.union([
  z.literal('manual').transform((): Trigger => ({ kind: 'manual' })),
  z
    .strictObject({
      branch: Pattern.optional().describe('A push to a branch of such a name'),
      merge: Pattern.optional().describe('A commit that arrives on this branch'),
      tag: Pattern.optional().describe('A tag of such a name'),
      'release-branch': Pattern.optional().describe('A push to a release branch (tags are the better way)'),
      'pull-request': z
        .literal('forks', 'forks: pull requests of the repository itself have a branch')
        .optional()
        .describe('A pull request that comes from a fork: code of strangers'),
    })
    .refine((on) => Object.keys(on).length === 1, `exactly one of ${NAMES}, or manual`)
    .meta({ minProperties: 1, maxProperties: 1 })
    .transform((on): Trigger => {
      if (on['pull-request'] !== undefined) return { kind: 'pull-request', pattern: on['pull-request'] };
      const kind = KINDS.find((kind) => on[kind] !== undefined);
      return kind === undefined ? { kind: 'manual' } : { kind, pattern: on[kind] ?? '' };
    }),
]);
