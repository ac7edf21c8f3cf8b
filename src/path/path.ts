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

/**
 * The piece of towpath.yaml under `environments: { <name>: ... }`.
 * @param able the drivers that isolate, that give settings, and that end what they brought somewhere
 */
export function pathEnvironmentSchema(
  deploy: z.ZodType<Choice>,
  able: Readonly<Record<'isolation' | 'settings' | 'end', readonly string[]>>,
) {
  return z
    .strictObject({
      on: TriggerSchema.describe(
        'What brings a release in: manual, or a branch, merge, tag, release-branch or pull-request',
      ),
      from: listOf(z.string()).optional().describe('Environments that stand before it'),
      gates: z.array(GateSchema).default([]).describe('Conditions: unchanged, a check, approvals, soak, freeze'),
      ...environmentFields(deploy),
    })
    .superRefine((environment, context) => {
      const isOfPulls = environment.on.kind === 'pull-request';
      if (isOfPulls && environment.ephemeral === undefined)
        context.addIssue({
          code: 'custom',
          path: ['on'],
          message: '`ephemeral` beside `on: { pull-request: forks }`: each pull request gets an environment of its own',
        });
      if (isOfPulls && !able.isolation.includes(environment.deploy.name))
        context.addIssue({
          code: 'custom',
          path: ['deploy'],
          message: `a driver that isolates (${able.isolation.join(', ')}) beside \`on: { pull-request: forks }\`: strangers wrote what runs there`,
        });
      if (isOfPulls && Object.keys(environment.secrets).length > 0)
        context.addIssue({
          code: 'custom',
          path: ['secrets'],
          message: 'no secrets beside `on: { pull-request: forks }`: strangers wrote what runs there',
        });
      if (environment.ephemeral !== undefined && environment.on.kind !== 'branch' && !isOfPulls)
        context.addIssue({
          code: 'custom',
          path: ['ephemeral'],
          message:
            '`on: { branch: ... }` beside `ephemeral`: only a branch (or a pull request) can bring and end an environment',
        });
      const { name: driver } = environment.deploy;
      if (environment.ephemeral !== undefined && !able.end.includes(driver))
        context.addIssue({
          code: 'custom',
          path: ['ephemeral'],
          message: `another driver beside \`ephemeral\`: ${driver} ends nothing that it brought somewhere`,
        });
      if (able.settings.includes(driver)) return;
      for (const settings of ['config', 'secrets'] as const)
        if (Object.keys(environment[settings]).length > 0)
          context.addIssue({
            code: 'custom',
            path: [settings],
            message: `no \`${settings}\` beside \`deploy: ${driver}\`, which gives none: they belong to what runs there`,
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
