import { buffer } from 'node:stream/consumers';

import type Docker from 'dockerode';
import { pack } from 'tar-stream';

import type { LogLine } from '../../lib/log.ts';
import type { RunSpec } from '../runtime.ts';
import type { DockerEngine } from './engine.ts';
import { asked, askedFor, askedToRemove, statusOf } from './error.ts';
import { demultiplex } from './log-lines.ts';

/** How a container is reached and how it stays, besides what to run. */
export interface Service {
  /** The program's port inside, and the port of this machine's loopback where it is reached; it stays over restarts. */
  readonly port?: { readonly inside: number; readonly onMachine: number };
  readonly network?: string;
  /** Its host name for others in that network. */
  readonly alias?: string;
  /** Host name -> address, beside what the network knows. */
  readonly hosts?: ReadonlyMap<string, string>;
  /** Replaces the image's command, and leaves its entrypoint. */
  readonly command?: readonly string[];
  /** Begun anew by the engine when it ends by itself, and when the engine comes back. */
  readonly restarts: boolean;
}

export interface ContainerState {
  readonly id: string;
  readonly name: string;
  /** The engine's id of the image that it really runs. */
  readonly imageId: string;
  readonly running: boolean;
  readonly restarts: number;
  readonly startedAtMs: number;
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  /** What the image's or the container's own health check says; null where it has none. */
  readonly health: 'starting' | 'healthy' | 'unhealthy' | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Port inside -> port of this machine. */
  readonly ports: ReadonlyMap<number, number>;
  /** Network -> its address there; while it runs. */
  readonly addresses: ReadonlyMap<string, string>;
}

/** Rights that no service of ours needs and that help an intruder: raw packets, devices, file capabilities, audit. */
export const DROPPED = ['AUDIT_WRITE', 'MKNOD', 'NET_RAW', 'SETFCAP'];
export const DEFAULT_PIDS = 4096;
/** How much is kept of what a container prints. */
export const LOG = { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } } as const;

/** Makes a container and does not start it, so that files can be put into it first. @returns its id */
export async function createContainer(engine: DockerEngine, spec: RunSpec, service?: Service): Promise<string> {
  const created = await asked(`create ${spec.name}`, engine.docker.createContainer(optionsOf(engine, spec, service)));
  return created.id;
}

/** Starting one that runs does nothing. */
export async function startContainer(engine: DockerEngine, name: string): Promise<void> {
  const start = engine.docker.getContainer(name).start();
  await asked(
    `start ${name}`,
    start.catch((error: unknown) => {
      if (statusOf(error) !== 304) throw error;
    }),
  );
}

/** Asks it to end, waits, then kills. One that is gone or has ended is left alone. */
export async function stopContainer(engine: DockerEngine, name: string, graceMs: number): Promise<void> {
  const seconds = Math.ceil(graceMs / 1000);
  await askedToRemove(`stop ${name}`, engine.docker.getContainer(name).stop({ t: seconds }));
}

/** Ends it at once. One that is gone or has ended is left alone. */
export async function killContainer(engine: DockerEngine, name: string): Promise<void> {
  const kill = engine.docker.getContainer(name).kill();
  await askedToRemove(
    `kill ${name}`,
    kill.catch((error: unknown) => {
      if (statusOf(error) !== 409) throw error; // it is not running
    }),
  );
}

/** Removes it, running or not, with the volumes that only it had. Resolves when it is gone, whoever began to remove it. */
export async function removeContainer(engine: DockerEngine, name: string): Promise<void> {
  const container = engine.docker.getContainer(name);
  const remove = container.remove({ force: true, v: true }).catch((error: unknown) => {
    if (statusOf(error) !== 409 || !/already in progress/.test(String(error))) throw error;
    return container.wait({ condition: 'removed' });
  });
  await askedToRemove(`remove ${name}`, remove);
}

/** @returns null when there is none */
export async function inspectContainer(engine: DockerEngine, name: string): Promise<ContainerState | null> {
  const found = await askedFor(`look at ${name}`, engine.docker.getContainer(name).inspect());
  return found === null ? null : stateOf(found);
}

/** All containers, running or not, that carry these labels. One that goes away meanwhile is left out. */
export async function listContainers(
  engine: DockerEngine,
  labels: Readonly<Record<string, string>>,
): Promise<ContainerState[]> {
  const filters = { label: Object.entries(labels).map(([name, value]) => `${name}=${value}`) };
  const found = await asked('list containers', engine.docker.listContainers({ all: true, filters }));
  const states = await Promise.all(found.map(({ Id }) => inspectContainer(engine, Id)));
  return states.filter((state) => state !== null);
}

/**
 * Writes small files into a container that does not run yet. They belong to root, and everyone inside may read them.
 * @param options.isThere the folder is in the container already; it has to, where its root cannot be written
 */
export async function putFiles(
  engine: DockerEngine,
  name: string,
  folder: string,
  files: ReadonlyMap<string, string | Buffer>,
  { isThere = false }: { readonly isThere?: boolean } = {},
): Promise<void> {
  const archive = pack();
  const parts = isThere ? [] : folder.split('/').filter((part) => part !== '');
  parts.forEach((_, index) => {
    archive.entry({ name: `${parts.slice(0, index + 1).join('/')}/`, type: 'directory', mode: 0o755 });
  });
  for (const [file, content] of files) archive.entry({ name: [...parts, file].join('/'), mode: 0o444 }, content);
  archive.finalize();
  const bytes = await buffer(archive);
  await asked(
    `put files into ${name}`,
    engine.docker.getContainer(name).putArchive(bytes, { path: isThere ? folder : '/' }),
  );
}

/** Writes files to absolute paths in a container that does not run yet; folders that are there stay as they are. */
export async function copyInto(engine: DockerEngine, name: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  if (files.size === 0) return;
  const archive = pack();
  for (const [path, content] of files) archive.entry({ name: path.replace(/^\/+/, ''), mode: 0o644 }, content);
  archive.finalize();
  const bytes = await buffer(archive);
  await asked(`put files into ${name}`, engine.docker.getContainer(name).putArchive(bytes, { path: '/' }));
}

/** Streams what the container prints from now on, in whole lines; call it before the start to miss nothing. Ends when it ends. */
export async function attachLog(engine: DockerEngine, name: string, log: LogLine): Promise<{ ended: Promise<void> }> {
  const options = { stream: true, stdout: true, stderr: true };
  const stream = await asked(`read the output of ${name}`, engine.docker.getContainer(name).attach(options));
  const ended = drain(stream, log);
  ended.catch(() => undefined); // whoever awaits it sees it; one that never started is not awaited
  return { ended };
}

/** Runs a program in a container that runs. @returns its exit code; null when the container (or the program) is not there */
export async function execIn(
  engine: DockerEngine,
  name: string,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<number | null> {
  const run = async (): Promise<number | null> => {
    const exec = await engine.docker
      .getContainer(name)
      .exec({ Cmd: [...argv], AttachStdout: true, AttachStderr: true, abortSignal: signal });
    const stream = await exec.start({ abortSignal: signal });
    for await (const _ of stream) signal.throwIfAborted();
    return (await exec.inspect()).ExitCode;
  };
  try {
    return await askedFor(`run a program in ${name}`, run());
  } catch (error) {
    signal.throwIfAborted();
    if (/is not running|not found|no such file|OCI runtime exec failed/i.test(String(error))) return null;
    throw error;
  }
}

/** The last lines that the container printed: what people need to see when it does not become healthy. */
export async function lastLines(engine: DockerEngine, name: string, count: number): Promise<string[]> {
  const options = { follow: false, stdout: true, stderr: true, tail: count } as const;
  const bytes = await askedFor(`read the output of ${name}`, engine.docker.getContainer(name).logs(options));
  const lines: string[] = [];
  const reader = demultiplex((line) => lines.push(line));
  if (bytes !== null) reader.write(bytes);
  reader.end();
  return lines.slice(-count);
}

async function drain(stream: AsyncIterable<unknown>, log: LogLine): Promise<void> {
  const reader = demultiplex(log);
  try {
    for await (const bytes of stream) reader.write(bytes as Buffer);
  } finally {
    reader.end();
  }
}

function optionsOf(engine: DockerEngine, spec: RunSpec, service: Service | undefined): Docker.ContainerCreateOptions {
  const memory = spec.limits?.memoryMb === undefined ? undefined : spec.limits.memoryMb * 1024 * 1024;
  const port = service?.port;
  const network = service?.network ?? spec.network;
  return {
    name: spec.name,
    Image: spec.image.reference,
    ...(spec.argv === undefined ? {} : { Entrypoint: [], Cmd: [...spec.argv] }),
    ...(service?.command === undefined ? {} : { Cmd: [...service.command] }),
    ...(spec.workdir === undefined ? {} : { WorkingDir: spec.workdir }),
    ...(spec.user === undefined ? {} : { User: spec.user }),
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    Labels: { ...spec.labels },
    ...(port === undefined ? {} : { ExposedPorts: { [`${port.inside}/tcp`]: {} } }),
    HostConfig: {
      ...(memory === undefined ? {} : { Memory: memory, MemorySwap: memory }),
      ...(spec.limits?.cpus === undefined ? {} : { NanoCpus: Math.round(spec.limits.cpus * 1e9) }),
      PidsLimit: spec.limits?.pids ?? DEFAULT_PIDS,
      Mounts: (spec.mounts ?? []).map(({ from, to, writable }) => ({
        Type: 'bind',
        Source: from,
        Target: to,
        ReadOnly: !writable,
      })),
      Init: engine.hasInit,
      SecurityOpt: ['no-new-privileges'],
      CapDrop: DROPPED,
      LogConfig: { Type: LOG.driver, Config: { ...LOG.options } },
      ...(network === undefined ? {} : { NetworkMode: network }),
      ...(service?.hosts === undefined
        ? {}
        : { ExtraHosts: [...service.hosts].map(([name, address]) => `${name}:${address}`) }),
      ...(port === undefined
        ? {}
        : { PortBindings: { [`${port.inside}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: String(port.onMachine) }] } }),
      RestartPolicy: { Name: service?.restarts === true ? 'unless-stopped' : 'no' },
    },
    ...(network === undefined || service?.alias === undefined
      ? {}
      : { NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: [service.alias] } } } }),
  };
}

function stateOf(found: Docker.ContainerInspectInfo): ContainerState {
  const ports = Object.entries((found.HostConfig.PortBindings as Docker.PortMap | null) ?? {}).flatMap(
    ([inside, bindings]) => {
      const port = Number((bindings as { HostPort?: string }[] | null)?.[0]?.HostPort);
      return port > 0 ? [[Number.parseInt(inside, 10), port] as const] : [];
    },
  );
  return {
    id: found.Id,
    name: found.Name.replace(/^\//, ''),
    imageId: found.Image,
    running: found.State.Running && !found.State.Restarting,
    restarts: found.RestartCount,
    startedAtMs: Date.parse(found.State.StartedAt),
    exitCode: found.State.ExitCode,
    outOfMemory: found.State.OOMKilled,
    health: healthOf(found.State.Health?.Status),
    labels: found.Config.Labels,
    ports: new Map(ports),
    addresses: new Map(
      Object.entries(found.NetworkSettings.Networks).map(([network, { IPAddress }]) => [network, IPAddress]),
    ),
  };
}

function healthOf(status: string | undefined): ContainerState['health'] {
  return status === 'starting' || status === 'healthy' || status === 'unhealthy' ? status : null;
}
