import { z } from 'zod';

import { type EnvironmentDefinition, environmentFields } from '../environment/environment.ts';
import { type Choice, listOf } from '../lib/fields.ts';
import { type Gate, GateSchema } from './gate.ts';
import { type Trigger, TriggerSchema } from './trigger.ts';

/** An environment with what moves a release into it: a node of the path. */
export interface PathEnvironment extends EnvironmentDefinition {
  readonly on: Trigger;
  /** Where a release must have been live before: in one of these; empty where the path begins. */
  readonly from: readonly string[];
  readonly gates: readonly Gate[];
}

/** The piece of towpath.yaml under `environments: { <name>: ... }`. */
export function pathEnvironmentSchema(deploy: z.ZodType<Choice>) {
  return z
    .strictObject({
      on: TriggerSchema.describe('What brings a release in: manual, or a branch, merge, tag or release-branch'),
      from: listOf(z.string()).optional().describe('Environments that stand before it'),
      gates: z.array(GateSchema).default([]).describe('Conditions: unchanged, a check, approvals, soak, freeze'),
      ...environmentFields(deploy),
    })
    .superRefine((environment, context) => {
      if (environment.ephemeral !== undefined && environment.on.kind !== 'branch')
        context.addIssue({
          code: 'custom',
          path: ['ephemeral'],
          message: '`on: { branch: ... }` beside `ephemeral`: only a branch can bring and end an environment',
        });
    })
    .transform(({ on, from, gates, ephemeral, deploy, settle, timeout, ...rest }): PathEnvironment => ({
      ...rest,
      on,
      from: from ?? [],
      gates,
      ...(ephemeral === undefined ? {} : { ephemeral: { ttlMs: ephemeral.ttl } }),
      deploy: { driver: deploy.name, config: deploy.settings },
      settleMs: settle,
      timeoutMs: timeout,
    }));
}
