import { z } from 'zod';

import { type Choice, Duration, SecretReference, VariableName, Wait } from '../lib/fields.ts';
import { parsePlace } from '../registry/place.ts';
import { placeholdersOf } from './variables.ts';

/** A place where releases run, as it stands in towpath.yaml; what moves a release into it is the path's affair. */
export interface EnvironmentDefinition {
  /** `path`: only releases that the path brings; `any`: any release and any mix of services. */
  readonly accepts: 'path' | 'any';
  /** One per branch, gone with it or when nothing was pushed for so long. */
  readonly ephemeral?: { readonly ttlMs: number };
  /** `config` has passed the driver's own schema, defaults filled in. */
  readonly deploy: { readonly driver: string; readonly config: unknown };
  /** `host[:port][/prefix]` of another registry: its images are copied there first, and taken from there. */
  readonly registry?: string | undefined;
  /** Variables of the services; values may hold placeholders. */
  readonly config: Readonly<Record<string, string>>;
  /** Name -> reference (`env:NAME`, `file:/path`), never a value. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Checks asked of it after a deployment. */
  readonly verify: readonly string[];
  /** Backing parts that are mocked for the checks that are asked of it. */
  readonly mocks?: readonly string[] | undefined;
  readonly onFailure: { readonly action: 'rollback' | 'hold' | 'keep'; readonly yank: boolean };
  /** How long it must stay healthy before it counts as live. */
  readonly settleMs: number;
  /** How many releases before the current one stay ready for a rollback. */
  readonly keep: number;
  readonly timeoutMs: number;
}

const REGISTRY = 'a registry without a scheme, such as registry.example.org or registry.example.org/prod';

const Place = z.string(REGISTRY).refine((text) => parsePlace(text) !== null, REGISTRY);

const FAILURE = ['rollback', 'hold', 'keep'] as const;

const OnFailure = z
  .union([
    z.enum(FAILURE).transform((action) => ({ action, yank: false })),
    z
      .strictObject({
        rollback: z.boolean().optional().describe('Bring back the release that ran before'),
        hold: z.boolean().optional().describe('Leave it as it is and let nothing move in'),
        keep: z.boolean().optional().describe('Leave it as it is'),
        yank: z.boolean().default(false).describe('Bar the release everywhere (false)'),
      })
      .refine(
        (value) => FAILURE.filter((action) => value[action] === true).length <= 1,
        'only one of rollback, hold and keep',
      )
      .transform((value) => ({
        action: FAILURE.find((action) => value[action] === true) ?? ('rollback' as const),
        yank: value.yank,
      })),
  ])
  .default({ action: 'rollback', yank: false });

const Value = z.union([z.string(), z.number(), z.boolean()], 'a text, a number or a truth value').transform(String);

const ConfigValue = Value.superRefine((text, context) => {
  for (const { wrong } of placeholdersOf(text))
    if (wrong !== undefined) context.addIssue({ code: 'custom', message: wrong });
});

/** The fields of an environment that are its own; the path adds those that say what moves in. */
export function environmentFields(deploy: z.ZodType<Choice>) {
  return {
    accepts: z.enum(['path', 'any']).default('path').describe('`any` takes any release and any mix of services (path)'),
    ephemeral: z
      .strictObject({ ttl: Duration.default(1_209_600_000).describe('Gone after so long without a push (14d)') })
      .optional()
      .describe('One environment per branch, removed with it'),
    deploy: deploy.describe('The driver that makes it run, by its name or with its settings'),
    registry: Place.optional().describe(
      'Another registry, into which its images are copied first: host[:port][/prefix]',
    ),
    config: z.record(VariableName, ConfigValue).default({}).describe('Variables of the services'),
    secrets: z.record(VariableName, SecretReference).default({}).describe('References to secrets, given as files'),
    verify: z.array(z.string()).default([]).describe('Checks asked of it after a deployment'),
    mocks: z.array(z.string()).optional().describe('Backing parts that are mocked for its checks'),
    onFailure: OnFailure.describe('What happens when a deployment fails (rollback)'),
    settle: Wait.default(3000).describe('How long it must stay healthy before it counts as live (3s)'),
    keep: z.int().min(1).max(1000).default(5).describe('Releases kept ready for a rollback (5)'),
    timeout: Wait.default(600_000).describe('How long a deployment may take (10m)'),
  };
}
