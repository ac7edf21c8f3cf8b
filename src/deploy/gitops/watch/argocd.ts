import { z } from 'zod';

import { GitopsError } from '../gitops-error.ts';
import { oneLine, type Sight } from './sight.ts';
import { type Cluster, teller, type Watch } from './watch.ts';

/** As much of an Application as tells how it is. @see argoproj/argo-cd, `pkg/apis/application/v1alpha1/types.go` */
const Application = z.object({
  metadata: z.object({
    annotations: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
  }),
  spec: z.object({
    syncPolicy: z
      .object({ automated: z.object({ enabled: z.boolean().default(true) }).optional() })
      .nullish()
      .transform((policy) => policy?.automated?.enabled ?? false),
  }),
  operation: z.unknown().optional(),
  status: z
    .object({
      sync: z
        .object({
          status: z.string().default('Unknown'),
          revision: z.string().default(''),
          revisions: z.array(z.string()).default([]),
        })
        .prefault({}),
      health: z.object({ status: z.string().default('Unknown') }).prefault({}),
      conditions: z.array(z.object({ type: z.string(), message: z.string().default('') })).default([]),
      operationState: z
        .object({
          phase: z.string(),
          message: z.string().default(''),
          syncResult: z
            .object({
              revision: z.string().default(''),
              revisions: z.array(z.string()).default([]),
              resources: z
                .array(
                  z.object({
                    kind: z.string(),
                    name: z.string(),
                    status: z.string().optional(),
                    message: z.string().default(''),
                  }),
                )
                .default([]),
            })
            .optional(),
        })
        .optional(),
      summary: z.object({ images: z.array(z.string()).default([]) }).prefault({}),
    })
    .prefault({}),
});
type Application = z.infer<typeof Application>;

/** Present from our asking until the controller has looked. */
const REFRESH = 'argocd.argoproj.io/refresh';

/** Reads the Application object: Argo CD's own server is not asked, and need not run. */
export function argocdWatch(
  { application, namespace }: { readonly application: string; readonly namespace: string },
  cluster: Cluster,
): Watch {
  const object = teller(cluster, {
    api: 'argoproj.io/v1alpha1',
    kind: 'Application',
    plural: 'applications',
    namespace,
    name: application,
  });
  return {
    name: `Argo CD, application ${namespace}/${application}`,
    check: (signal) => object.annotate({}, signal),
    ask: (signal) => object.annotate({ [REFRESH]: 'normal' }, signal),
    look: async (signal) => readApplication(await object.read(signal)),
  };
}

/** @throws GitopsError `gitops.watch-unreadable` */
export function readApplication(object: unknown): Sight {
  const parsed = Application.safeParse(object);
  if (!parsed.success) throw unreadable();
  const { metadata, status } = parsed.data;
  return {
    looked: !(REFRESH in metadata.annotations),
    revisions: commitsOf(status.sync),
    images: status.summary.images,
    ...stateOf(parsed.data),
  };
}

function stateOf({ metadata, spec, operation, status }: Application): Pick<Sight, 'state' | 'says'> {
  const { sync, health, conditions, operationState } = status;
  if (metadata.deletionTimestamp !== undefined) return { state: 'bad', says: 'it is being deleted' };
  const errors = conditions.filter(({ type }) => type.endsWith('Error'));
  if (errors.length > 0)
    return { state: 'bad', says: errors.map(({ type, message }) => `${type}: ${oneLine(message)}`).join('; ') };
  const both = `${sync.status} and ${health.status}`;
  if (operation !== undefined || operationState?.phase === 'Running' || operationState?.phase === 'Terminating')
    return { state: 'coming', says: `${both}, a sync is under way: ${oneLine(operationState?.message ?? '')}` };
  if (sync.status !== 'Synced') {
    const failed = failureOf(status);
    if (failed !== null) return { state: 'bad', says: failed };
    return {
      state: 'coming',
      says: spec.syncPolicy ? both : `${both}, and it is not synced by itself: sync it in Argo CD`,
    };
  }
  const state = health.status === 'Healthy' ? 'good' : health.status === 'Degraded' ? 'bad' : 'coming';
  return { state, says: both };
}

/** What the last sync says, when it failed at the very commits that are looked at. */
function failureOf({ sync, operationState }: Application['status']): string | null {
  const result = operationState?.syncResult;
  if (operationState === undefined || result === undefined) return null;
  if (operationState.phase !== 'Failed' && operationState.phase !== 'Error') return null;
  if (String(commitsOf(result)) !== String(commitsOf(sync))) return null;
  const resources = result.resources
    .filter(({ status }) => status === 'SyncFailed')
    .map(({ kind, name, message }) => `${kind} ${name}: ${message}`);
  return oneLine(`the sync failed: ${[operationState.message, ...resources].join('; ')}`);
}

function commitsOf({
  revision,
  revisions,
}: {
  readonly revision: string;
  readonly revisions: readonly string[];
}): string[] {
  return [revision, ...revisions].filter((one) => one !== '');
}

function unreadable(): GitopsError {
  return new GitopsError({
    code: 'gitops.watch-unreadable',
    what: 'The Application object is not one that Towpath knows how to read.',
    fix: 'Argo CD 3.1 writes what is read here; look whether another program owns that kind of object.',
  });
}
