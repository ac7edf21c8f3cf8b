import { z } from 'zod';

import type { DockerEngine } from '../../container/docker/engine.ts';
import { asked, askedFor, askedToRemove, statusOf } from '../../container/docker/error.ts';
import { registryHostOf } from '../../container/docker/images.ts';
import type { ServiceSpec } from './spec.ts';

const Labels = z
  .record(z.string(), z.string())
  .nullish()
  .transform((labels) => labels ?? {});
const Version = z.object({ Index: z.number() });
const PublishedPorts = z
  .array(z.object({ TargetPort: z.number().optional(), PublishedPort: z.number().optional() }))
  .nullish()
  .transform((ports) => ports ?? []);

const Spec = z.object({ Name: z.string(), Labels });

/** What Swarm says of a service: what it was asked for, and how its last update goes. */
export const SwarmService = z.object({
  ID: z.string(),
  Version,
  Spec: Spec.extend({
    EndpointSpec: z
      .object({
        Ports: z
          .array(z.object({ PublishedPort: z.number().optional(), PublishMode: z.string().optional() }))
          .nullish(),
      })
      .optional(),
  }),
  PreviousSpec: Spec.nullish(),
  UpdateStatus: z.object({ State: z.string().optional(), Message: z.string().optional() }).nullish(),
});
export type SwarmService = z.infer<typeof SwarmService>;

/** All of it, as Swarm takes it back. */
const WholeSpec = z.object({
  Spec: z.looseObject({
    TaskTemplate: z.looseObject({
      ContainerSpec: z.looseObject({ Image: z.string() }),
      ForceUpdate: z.number().optional(),
    }),
  }),
});

/** One try of Swarm to run one replica. Those that ended stay listed for a while. */
export const SwarmTask = z.object({
  ID: z.string(),
  ServiceID: z.string(),
  NodeID: z.string().optional(),
  CreatedAt: z.string(),
  DesiredState: z.string(),
  Status: z.object({
    Timestamp: z.string().optional(),
    State: z.string(),
    Err: z.string().optional(),
    ContainerStatus: z.object({ ContainerID: z.string().optional(), ExitCode: z.number().optional() }).nullish(),
    PortStatus: z.object({ Ports: PublishedPorts }).nullish(),
  }),
  Spec: z.object({ ContainerSpec: z.object({ Image: z.string(), Labels }) }),
});
export type SwarmTask = z.infer<typeof SwarmTask>;

export const SwarmNode = z.object({
  ID: z.string(),
  Spec: z.object({ Availability: z.string().optional() }),
  Status: z.object({ State: z.string().optional(), Addr: z.string().optional() }),
  ManagerStatus: z.object({ Addr: z.string().optional() }).nullish(),
});
export type SwarmNode = z.infer<typeof SwarmNode>;

/** A config or a secret, without its content. */
export const SwarmObject = z.object({ ID: z.string(), Version, Spec });
export type SwarmObject = z.infer<typeof SwarmObject>;

const Info = z.object({
  Swarm: z
    .object({
      NodeID: z.string().optional(),
      LocalNodeState: z.string().optional(),
      ControlAvailable: z.boolean().optional(),
    })
    .optional(),
});

/** Swarm writes into a service that it moves, so a version may be old a moment later. */
const TRIES = 20;

/** What this engine is to a Swarm. */
export async function membership(
  engine: DockerEngine,
): Promise<{ readonly nodeId: string; readonly state: string; readonly isManager: boolean }> {
  const { Swarm } = Info.parse(await asked('say what it is', engine.docker.info()));
  return {
    nodeId: Swarm?.NodeID ?? '',
    state: Swarm?.LocalNodeState ?? 'inactive',
    isManager: Swarm?.ControlAvailable === true,
  };
}

/** @param labels `name=value`, all of them; none for every service of the Swarm */
export async function listServices(engine: DockerEngine, labels: readonly string[]): Promise<SwarmService[]> {
  const filters = JSON.stringify({ label: labels });
  return z.array(SwarmService).parse(await asked('list services', engine.docker.listServices({ filters })));
}

/**
 * Tasks of services with these labels, of services that were removed too until their programs have ended.
 * @param labels `name=value`, all of them
 */
export async function listTasks(engine: DockerEngine, labels: readonly string[]): Promise<SwarmTask[]> {
  const filters = JSON.stringify({ label: labels });
  return z.array(SwarmTask).parse(await asked('list tasks', engine.docker.listTasks({ filters })));
}

export async function listNodes(engine: DockerEngine): Promise<SwarmNode[]> {
  return z.array(SwarmNode).parse(await asked('list nodes', engine.docker.listNodes()));
}

/** @returns null when there is none of that name or id */
export async function inspectService(engine: DockerEngine, name: string): Promise<SwarmService | null> {
  const found: unknown = await askedFor(`look at the service ${name}`, engine.docker.getService(name).inspect());
  return found === null ? null : SwarmService.parse(found);
}

/** @returns false when somebody else made one of that name first */
export async function createService(engine: DockerEngine, spec: ServiceSpec): Promise<boolean> {
  const auth = await authFor(engine, spec.TaskTemplate.ContainerSpec.Image);
  const created = engine.docker
    .createService(auth as Parameters<typeof engine.docker.createService>[0], spec as object)
    .then(() => true);
  return asked(`create the service ${spec.Name}`, unless(409, created));
}

/** Changes what a service shall be, if it still is what was looked at. @returns false when it is not */
export async function updateService(
  engine: DockerEngine,
  { ID, Version }: SwarmService,
  spec: ServiceSpec,
): Promise<boolean> {
  const auth = await authFor(engine, spec.TaskTemplate.ContainerSpec.Image);
  const updated = post(engine, `/services/${ID}/update`, { version: Version.Index }, spec, auth);
  return asked(`update the service ${spec.Name}`, unlessMoved(updated));
}

/** Has Swarm put back what a service was before its last change. @returns false when it is not what was looked at any more */
export async function revertService(engine: DockerEngine, service: SwarmService): Promise<boolean> {
  const { ID, Version, Spec: spec } = service;
  const found: unknown = await askedFor(`look at the service ${spec.Name}`, engine.docker.getService(ID).inspect());
  const whole = z.object({ Spec: z.looseObject({}) }).safeParse(found);
  if (!whole.success) return false;
  const query = { version: Version.Index, rollback: 'previous' };
  const reverted = post(engine, `/services/${ID}/update`, query, whole.data.Spec);
  return asked(`put back the service ${spec.Name}`, unlessMoved(reverted));
}

/**
 * Has Swarm begin the last change of a service anew, from where its tasks are by now. It is put back and asked for again in one breath:
 * so what was before it stays what Swarm puts back when it fails.
 * @param whole tasks that run already are replaced too
 * @returns false when it is not what was looked at any more
 */
export async function changeAgain(engine: DockerEngine, service: SwarmService, whole: boolean): Promise<boolean> {
  const { ID, Spec: spec } = service;
  const found: unknown = await askedFor(`look at the service ${spec.Name}`, engine.docker.getService(ID).inspect());
  const { data } = WholeSpec.safeParse(found);
  if (data === undefined) return false;
  const { TaskTemplate } = data.Spec;
  const times = (TaskTemplate.ForceUpdate ?? 0) + (whole ? 1 : 0);
  const again = { ...data.Spec, TaskTemplate: { ...TaskTemplate, ForceUpdate: times } };
  if ((service.PreviousSpec ?? null) !== null && !(await revertService(engine, service))) return false;
  const auth = await authFor(engine, TaskTemplate.ContainerSpec.Image);
  for (let tries = 0; tries < TRIES; tries++) {
    const there = await inspectService(engine, ID);
    if (there === null) return false;
    const updated = post(engine, `/services/${ID}/update`, { version: there.Version.Index }, again, auth);
    if (await asked(`update the service ${spec.Name}`, unlessMoved(updated))) return true;
  }
  return false;
}

export async function removeService(engine: DockerEngine, id: string): Promise<void> {
  await askedToRemove(`remove the service ${id}`, engine.docker.getService(id).remove());
}

/** A manager waits for ever for the output of a node that is down. */
const LOG_PATIENCE_MS = 5000;

/**
 * What a task printed by now, wherever in the Swarm it runs, as the engine frames it.
 * @param which the last lines; or all since an instant, each with its own
 */
export async function taskLog(
  engine: DockerEngine,
  id: string,
  which: { readonly tail: number } | { readonly since: string; readonly timestamps: true },
): Promise<Buffer> {
  const options = { follow: false, stdout: true, stderr: true, ...which };
  const abortSignal = AbortSignal.timeout(LOG_PATIENCE_MS);
  const bytes = await askedFor(
    `read the output of the task ${id}`,
    new Promise<unknown>((resolve, reject) => {
      engine.docker.modem.dial(
        {
          path: `/tasks/${id}/logs?`,
          method: 'GET',
          options,
          isStream: false,
          abortSignal,
          statusCodes: { 200: true, 404: 'no task' },
        },
        (error: unknown, data: unknown) => (error === null ? resolve(data) : reject(error)),
      );
    }),
  );
  return Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0);
}

/** The client would write the body into the address too, where an address has a query. @returns true */
export function post(
  engine: DockerEngine,
  path: string,
  query: Readonly<Record<string, string | number>>,
  body: object,
  auth?: object,
): Promise<boolean> {
  const options = { _query: query, _body: body };
  return new Promise((resolve, reject) => {
    engine.docker.modem.dial(
      {
        path: `${path}?`,
        method: 'POST',
        options,
        ...(auth === undefined ? {} : { authconfig: auth }),
        statusCodes: { 200: true, 404: 'not there', 500: 'server error' },
      },
      (error: unknown) => (error === null ? resolve(true) : reject(error)),
    );
  });
}

async function authFor(engine: DockerEngine, image: string): Promise<object | undefined> {
  const host = registryHostOf(image);
  const credentials = await engine.credentials(host, image.slice(host.length + 1).replace(/@.*/, ''));
  return credentials === null ? undefined : { ...credentials, serveraddress: host };
}

/** What Swarm answers when the version that was looked at is not the newest: 500, and nothing but these words tells. */
export async function unlessMoved(call: Promise<boolean>): Promise<boolean> {
  try {
    return await call;
  } catch (error) {
    if (/update out of sequence/.test(String(error)) || statusOf(error) === 404) return false;
    throw error;
  }
}

/** @returns false when the engine refused with this status */
export async function unless(status: number, call: Promise<boolean>): Promise<boolean> {
  try {
    return await call;
  } catch (error) {
    if (statusOf(error) === status) return false;
    throw error;
  }
}
