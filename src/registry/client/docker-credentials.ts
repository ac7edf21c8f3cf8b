import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

import { z } from 'zod';

import { RegistryError } from '../error.ts';
import type { Credentials } from './auth.ts';

export interface DockerCredentialsOptions {
  /** Default: `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`. */
  readonly configFile?: string;
  /** For the helpers, which look for their own settings there; and for `DOCKER_CONFIG`. */
  readonly environment?: NodeJS.ProcessEnv;
  /** How long a helper may take. */
  readonly helperTimeoutMs?: number;
}

const DockerConfig = z.looseObject({
  auths: z
    .record(
      z.string(),
      z.looseObject({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
        registrytoken: z.string().optional(),
      }),
    )
    .optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
  credsStore: z.string().optional(),
});
type Entry = NonNullable<z.infer<typeof DockerConfig>['auths']>[string];

const LONGEST_REPLY = 1024 * 1024;

const HelperReply = z.looseObject({ Username: z.string(), Secret: z.string() });

/** Docker Hub has a name of its own in docker's configuration. */
const HUB = 'https://index.docker.io/v1/';

/**
 * Reads the credentials that `docker login` left, anew each time: helpers hand out short-lived ones. In docker's order:
 * the helper of the host, the helper of all hosts, the file itself.
 * @throws RegistryError `registry.credentials`; no secret is in it
 */
export function dockerCredentials(options: DockerCredentialsOptions = {}) {
  const { configFile, environment = process.env, helperTimeoutMs = 15_000 } = options;
  const file = configFile ?? join(environment['DOCKER_CONFIG'] ?? join(homedir(), '.docker'), 'config.json');
  return async (host: string): Promise<Credentials | null> => {
    const config = await readConfig(file);
    const server = host === 'docker.io' ? HUB : host;
    const helper = ownOf(config.credHelpers, host) ?? (config.credsStore === '' ? undefined : config.credsStore);
    if (helper !== undefined) {
      const found = await askHelper(helper, server, environment, helperTimeoutMs);
      if (found !== null) return found;
    }
    const entry = Object.entries(config.auths ?? {}).find(([key]) => key === server || hostOf(key) === host)?.[1];
    return entry === undefined ? null : credentialsOf(entry, host);
  };
}

async function readConfig(file: string): Promise<z.infer<typeof DockerConfig>> {
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw unusable(`The docker configuration ${file} cannot be read.`);
  }
  try {
    return DockerConfig.parse(JSON.parse(content));
  } catch {
    throw unusable(`The docker configuration ${file} is not what docker writes.`); // its text may hold a secret
  }
}

function credentialsOf(
  { auth, username, password, identitytoken, registrytoken }: Entry,
  host: string,
): Credentials | null {
  if (identitytoken) return { kind: 'identity', token: identitytoken };
  if (registrytoken) return { kind: 'bearer', token: registrytoken };
  if (username && password !== undefined) return { kind: 'basic', username, password };
  if (!auth) return null; // an empty entry says only that a helper knows it
  const plain = Buffer.from(auth, 'base64').toString('utf8');
  const colon = plain.indexOf(':');
  if (colon < 1) throw unusable(`The docker configuration has no user name and password for ${host}.`);
  return { kind: 'basic', username: plain.slice(0, colon), password: plain.slice(colon + 1).replace(/\0+$/, '') };
}

/** Older versions of docker wrote whole URLs as keys. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

async function askHelper(
  name: string,
  server: string,
  environment: NodeJS.ProcessEnv,
  timeoutMs: number,
): Promise<Credentials | null> {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9._-]*$/.test(name)) throw unusable(`"${name.slice(0, 40)}" is not the name of a helper.`);
  const program = `docker-credential-${name}`;
  const child = spawn(program, ['get'], { env: environment, stdio: ['pipe', 'pipe', 'ignore'] });
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
    child.stdout.destroy(); // what it started may hold it open
  }, timeoutMs);
  const exit = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  child.stdin.on('error', () => {}); // a helper that does not read its input
  child.stdin.end(server);
  let status: number | null;
  let reply: string;
  try {
    [status, reply] = await Promise.all([exit, replyFrom(child.stdout, () => child.kill('SIGKILL'))]);
  } catch {
    throw unusable(
      late
        ? `The docker credential helper ${program} gave no answer within ${timeoutMs / 1000} seconds.`
        : `The docker credential helper ${program} cannot be started.`,
    );
  } finally {
    clearTimeout(limit);
  }
  if (status !== 0) {
    if (reply.includes('credentials not found')) return null;
    throw unusable(`The docker credential helper ${program} gave no credentials for ${server}.`);
  }
  const read = HelperReply.safeParse(jsonOrNull(reply));
  if (!read.success) throw unusable(`The docker credential helper ${program} gave an answer that is none.`);
  const { Username: username, Secret: secret } = read.data;
  return username === '<token>' ? { kind: 'identity', token: secret } : { kind: 'basic', username, password: secret };
}

async function replyFrom(output: Readable, stop: () => void): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of output as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LONGEST_REPLY) {
      stop();
      return '';
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A host may be called as what every object has. */
function ownOf(helpers: Readonly<Record<string, string>> | undefined, host: string): string | undefined {
  return helpers !== undefined && Object.hasOwn(helpers, host) ? helpers[host] : undefined;
}

function jsonOrNull(reply: string): unknown {
  try {
    return JSON.parse(reply);
  } catch {
    return null;
  }
}

function unusable(what: string): RegistryError {
  return new RegistryError({
    code: 'registry.credentials',
    what,
    fix: 'Run `docker login` anew as the user that the server runs as, or give the credentials in its settings.',
  });
}
