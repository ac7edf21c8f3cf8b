import type Docker from 'dockerode';

import { asked, DockerError } from './error.ts';

/** One Docker Engine, spoken to by its API. The other files of this folder are functions over it. */
export interface DockerEngine {
  readonly docker: Docker;
  /** Whether the engine has an init (tini), which reaps orphans and passes signals on to programs that run as process 1. */
  readonly hasInit: boolean;
  readonly version: string;
  readonly apiVersion: string;
  readonly architecture: string;
  readonly credentials: CredentialsOf;
}

/** As the Engine API takes them: `registrytoken` is sent to the registry as it is. */
export type Credentials = { readonly username: string; readonly password: string } | { readonly registrytoken: string };

/**
 * Gives what the engine needs to pull from, or push to, a registry host; null for none. Asked anew for each pull.
 * @param repository where only one image is meant
 */
export type CredentialsOf = (host: string, repository?: string) => Promise<Credentials | null>;

const noCredentials: CredentialsOf = () => Promise.resolve(null);

export interface EngineOptions {
  /** `unix:///path`, `tcp://host:port` or `http://host:port`; by default what the environment says (`DOCKER_HOST` and its TLS settings), then the usual socket */
  readonly host?: string | undefined;
  readonly credentials?: CredentialsOf;
  /** For how long it may say nothing while it is asked; by default for ever, as one does whose output is followed. */
  readonly silenceMs?: number;
}

/** The oldest API that has what we use: platform in builds, cgroup limits, init (Docker 17.06 and later). */
const OLDEST_API = '1.30';

/**
 * Finds the engine and asks what it is.
 * @throws DockerError `docker.unreachable`, `docker.too-old`, `docker.host-invalid`
 */
export async function connectDocker(options: EngineOptions = {}): Promise<DockerEngine> {
  const docker = await open(options);
  const [version, info] = await asked(
    'say what it is',
    Promise.all([docker.version(), docker.info() as Promise<Info>]),
  );
  if (isOlder(version.ApiVersion, OLDEST_API)) {
    throw new DockerError({
      code: 'docker.too-old',
      what: `This Docker Engine (${version.Version}) speaks API ${version.ApiVersion}; Towpath needs ${OLDEST_API}.`,
      fix: 'Install a newer Docker Engine, or use the driver `process`.',
    });
  }
  return {
    docker,
    hasInit: info.InitBinary !== undefined && info.InitBinary !== '' && info.InitCommit?.ID !== 'N/A',
    version: version.Version,
    apiVersion: version.ApiVersion,
    architecture: version.Arch,
    credentials: options.credentials ?? noCredentials,
  };
}

/** The engine, or null where none answers: for places that do without. */
export async function findDocker(options: EngineOptions = {}): Promise<DockerEngine | null> {
  try {
    return await connectDocker(options);
  } catch (error) {
    if (error instanceof DockerError && error.code === 'docker.unreachable') return null;
    throw error;
  }
}

/** Connects at the first call and remembers what it found; while no engine answers, each call tries anew. */
export function dockerWhenNeeded(options: EngineOptions = {}): () => Promise<DockerEngine> {
  let connected: Promise<DockerEngine> | undefined;
  return () => {
    connected ??= connectDocker(options).catch((error: unknown) => {
      connected = undefined;
      throw error;
    });
    return connected;
  };
}

interface Info {
  readonly InitBinary?: string;
  readonly InitCommit?: { readonly ID?: string };
}

/** The client comes with SSH and gRPC, a tenth of a server's start: only who needs an engine loads it. */
async function open({ host, silenceMs }: EngineOptions): Promise<Docker> {
  const { default: Docker } = await import('dockerode');
  const limit = silenceMs === undefined ? {} : { timeout: silenceMs };
  if (host === undefined) return new Docker(limit); // reads the environment
  if (host.startsWith('unix:///')) return new Docker({ ...limit, socketPath: host.slice('unix://'.length) });
  const url = URL.canParse(host) ? new URL(host) : null;
  if (url === null || !['tcp:', 'http:'].includes(url.protocol) || url.hostname === '') {
    throw new DockerError({
      code: 'docker.host-invalid',
      what: `"${host}" is not the address of a Docker Engine that Towpath can speak to.`,
      fix: 'Use `unix:///path/to/docker.sock` or `tcp://host:port`; reach a remote engine through an SSH-forwarded socket.',
    });
  }
  return new Docker({
    ...limit,
    protocol: 'http',
    host: url.hostname,
    port: url.port === '' ? 2375 : Number(url.port),
  });
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number);
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}
