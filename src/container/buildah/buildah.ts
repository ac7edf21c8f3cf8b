import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { isDigest, type Digest } from '../../lib/digest.ts';
import { DISK_FULL, saysDiskFull } from '../../lib/disk-full.ts';
import { TowpathError } from '../../lib/error.ts';
import type { LogLine } from '../../lib/log.ts';
import { splitLines } from '../docker/log-lines.ts';

/** `buildah.*` */
export class BuildahError extends TowpathError {}

export interface Buildah {
  /** Where its images and layers lie, which make later builds quick. */
  readonly directory: string;
  readonly credentials: (host: string) => Promise<{ readonly username: string; readonly password: string } | null>;
}

export interface BuildahBuild {
  /** The build context as a tar stream, the Dockerfile in it. */
  readonly context: Readable;
  readonly dockerfile: string;
  readonly args: Readonly<Record<string, string>>;
  readonly target?: string;
  readonly platform: string;
  /** `host/repository:tag`, where the image is pushed. */
  readonly to: string;
  /** Hosts that images are pulled from. */
  readonly hosts: readonly string[];
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

const OWN_NAMESPACES = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** Whether Buildah can be started here. */
export async function hasBuildah(): Promise<boolean> {
  const quiet = { log: () => undefined, signal: new AbortController().signal };
  return run(['--version'], { ...quiet, env: {} }).then(
    (code) => code === 0,
    () => false,
  );
}

/**
 * Builds from a Dockerfile without any daemon, and pushes. Credentials lie in a file of their own for as long as it takes.
 * @returns the digest that was pushed
 * @throws BuildahError `buildah.build-failed`, `buildah.push-failed`, `disk.full`; the log has its words
 */
export async function buildWithBuildah(buildah: Buildah, build: BuildahBuild): Promise<Digest> {
  const work = await mkdtemp(join(tmpdir(), 'towpath-buildah-'));
  const store = ['--root', join(buildah.directory, 'storage'), '--runroot', join(work, 'run')];
  try {
    const settings = await writeSettings(work, buildah, [...new Set([hostOf(build.to), ...build.hosts])]);
    let reason = '';
    let isFull = false;
    const log = (line: string): void => {
      reason = /^Error: (.+)/i.exec(line)?.[1] ?? reason;
      // its last words may have several lines
      isFull ||= (reason !== '' || /^time="[^"]*" level=/.test(line)) && saysDiskFull(line);
      build.log(line);
    };
    const failed = (what: 'build' | 'push', fix: string): BuildahError =>
      isFull ? new BuildahError(DISK_FULL) : failure(what, fix, reason);
    const context = { log, signal: build.signal, env: settings.env };
    const image = join(work, 'image');
    const how = ['--layers', '--force-rm', '--runtime', 'runc', '--format', 'oci', '--platform', build.platform];
    const files = ['--authfile', settings.authFile, '--iidfile', image, '--file', build.dockerfile];
    const bud = [
      'bud',
      ...how,
      ...files,
      ...(build.target === undefined ? [] : ['--target', build.target]),
      ...Object.entries(build.args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
      '-',
    ];
    if ((await run([...store, ...bud], context, build.context)) !== 0) {
      throw failed('build', 'See the log of the build for the step that failed.');
    }
    const id = (await readFile(image, 'utf8')).trim().replace('sha256:', '');
    const pushed = join(work, 'digest');
    const push = ['push', '--authfile', settings.authFile, '--digestfile', pushed, id, `docker://${build.to}`];
    if ((await run([...store, ...push], context)) !== 0) {
      throw failed('push', 'See that the registry can be reached from here and lets Towpath in.');
    }
    const digest = (await readFile(pushed, 'utf8')).trim();
    if (!isDigest(digest)) throw failed('push', 'Buildah did not say under which digest; see the log.');
    return digest;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Registries of this machine's loopback speak plain HTTP, no other does. */
async function writeSettings(
  work: string,
  buildah: Buildah,
  hosts: readonly string[],
): Promise<{ env: Record<string, string>; authFile: string }> {
  const registries = join(work, 'registries.conf');
  const loopback = hosts.filter((host) => /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(host));
  await writeFile(
    registries,
    loopback.map((host) => `[[registry]]\nlocation = ${JSON.stringify(host)}\ninsecure = true\n`).join(''),
  );
  const authFile = join(work, 'auth.json');
  const auths: Record<string, { auth: string }> = {};
  for (const host of hosts) {
    const found = await buildah.credentials(host);
    if (found !== null) auths[host] = { auth: Buffer.from(`${found.username}:${found.password}`).toString('base64') };
  }
  await writeFile(authFile, JSON.stringify({ auths }), { mode: 0o600 });
  return { env: { CONTAINERS_REGISTRIES_CONF: registries, TMPDIR: work }, authFile };
}

/**
 * Runs it to its end. It lives in a process and mount namespace of its own: when it is called off, the containers of its
 * steps, which would outlive it, and whatever it mounted are gone with it.
 * @returns its exit code
 */
async function run(
  argv: readonly string[],
  context: { readonly log: LogLine; readonly signal: AbortSignal; readonly env: Readonly<Record<string, string>> },
  input?: Readable,
): Promise<number> {
  const { log, signal } = context;
  signal.throwIfAborted();
  const { PATH, HOME, HTTP_PROXY, HTTPS_PROXY, NO_PROXY } = process.env;
  const child = spawn('unshare', [...OWN_NAMESPACES, 'buildah', ...argv], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH, HOME, HTTP_PROXY, HTTPS_PROXY, NO_PROXY, ...context.env },
  });
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const lines = [splitLines(log), splitLines(log)] as const;
    child.stdout.on('data', (bytes: Buffer) => lines[0].write(bytes));
    child.stderr.on('data', (bytes: Buffer) => lines[1].write(bytes));
    const ended = new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 137));
    });
    const fed = feed(child.stdin, input).catch((error: unknown) => {
      stop();
      return error;
    });
    const code = await ended;
    lines.forEach((line) => line.end());
    signal.throwIfAborted();
    const trouble = await fed;
    if (trouble instanceof TowpathError) throw trouble; // the context could not be made; else buildah's own words count
    return code;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function feed(stdin: NodeJS.WritableStream, input: Readable | undefined): Promise<void> {
  if (input === undefined) stdin.end();
  else await pipeline(input, stdin);
}

function hostOf(reference: string): string {
  return reference.split('/')[0] ?? '';
}

function failure(what: 'build' | 'push', fix: string, reason: string): BuildahError {
  const plain = reason.replace(/error during bulk transfer for copier\.request\{.*\}: /, ''); // Go's dump of what it was about to copy
  const why = reason === '' ? '' : `: ${plain.slice(0, 300)}`;
  return new BuildahError({ code: `buildah.${what}-failed`, what: `The ${what} with Buildah failed${why}.`, fix });
}
