import { execPath, getgid, getuid } from 'node:process';
import { chown, lchown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import type { ImageOnMachine, RunResult, TaskRunner } from '../../../container/runtime.ts';
import type { SourceTree, TreeEntry } from '../../../git/tree.ts';
import type { Digest } from '../../../lib/digest.ts';
import { DISK_FULL } from '../../../lib/disk-full.ts';
import type { LogLine } from '../../../lib/log.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { BuiltArtifact } from '../../builder.ts';
import { writeLayer } from '../../oci/layer.ts';
import type { Layer } from '../../oci/layer.ts';
import type { BaseLock } from './base/base-lock.ts';
import { ensureNodeBase, BASE_REPOSITORY, lockedBase } from './base/node-base.ts';
import type { NodeBaseParts } from './base/node-base.ts';
import type { NpmSettings } from './definition.ts';
import type { BasePlace } from './found-base.ts';
import { installedItems } from './installed.ts';
import type { NpmConfig } from './npm-config.ts';
import { packageFiles } from './package-files.ts';
import type { FetchTarball } from './tarballs.ts';

const unzip = promisify(gunzip);
const TIMEOUT_MS = 20 * 60_000;

/** npm only warns of a file that found no space, and may end with 0 without it. */
const SAYS_DISK_FULL = /^npm (?:warn|error)\b.*\b(?:ENOSPC|EDQUOT)\b/i;

/** The one folder of the host that the work sees: present in every image, so that a read-only root has a place for it. */
const MOUNT = '/mnt';

export interface NpmCiParts {
  /** What can run a program in an image here, best isolation first; empty where nothing can. */
  readonly tasks: readonly TaskRunner[];
  /** Brings an image to where the runner can start it: pulled, or unpacked to a folder. */
  readonly imageOnMachine: (
    runner: TaskRunner,
    image: BasePlace & { readonly digest: Digest; readonly platform: string },
    signal: AbortSignal,
  ) => Promise<ImageOnMachine>;
  readonly tarball: FetchTarball;
  readonly npm: NpmConfig;
  readonly base: NodeBaseParts;
  readonly lock: BaseLock;
  /** Holds the work, each piece in a folder of its own that is removed at the end; and npm itself. */
  readonly directory: string;
}

/** What the packages are for, and where npm runs. */
export interface NpmBase {
  readonly pin: Digest;
  /** Of Node, without the `v`; null where the image does not tell. */
  readonly nodeVersion: string | null;
  /** An image of the user's own; null for the default base. */
  readonly own: (BasePlace & { readonly digest: Digest }) | null;
}

export interface NpmJob {
  readonly definition: NpmSettings;
  /** What npm gets to see of the source. */
  readonly entries: readonly TreeEntry[];
  readonly source: SourceTree;
  readonly platform: string;
  readonly base: NpmBase;
  readonly config: NpmConfig;
  readonly prefix: string;
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

export interface NpmCi {
  /** @throws ArtifactError `artifact.npm-needed` when nothing here can run it */
  choose(reasons: readonly string[]): {
    readonly isolation: BuiltArtifact['isolation'];
    write(job: NpmJob, file: string): Promise<Layer>;
  };
}

/** `npm ci` inside the base image: for install scripts, workspaces, git dependencies and whatever else is special. */
export function createNpmCi(parts: NpmCiParts): NpmCi {
  return {
    choose: (reasons) => {
      const [runner] = parts.tasks;
      if (!runner) throw cannotRun(reasons);
      const isolation = runner.name === 'chroot' ? 'host' : runner.name;
      return { isolation, write: (job, file) => writeByNpm(parts, runner, job, file) };
    },
  };
}

async function writeByNpm(parts: NpmCiParts, runner: TaskRunner, job: NpmJob, file: string): Promise<Layer> {
  await mkdir(parts.directory, { recursive: true });
  const work = await mkdtemp(join(parts.directory, 'npm-'));
  try {
    await prepare(parts, job, work);
    const run = await starter(parts, runner, job, work);
    const hasSecrets = Object.keys(job.config.authorizations).length > 0;
    if (hasSecrets) {
      // Scripts never see a token: it fills the cache, is deleted, and the scripts then run without the network.
      const userconfig = join(work, 'home', '.npmrc');
      await writeFile(userconfig, npmrcOf(job.config), { mode: 0o600 });
      await own(userconfig);
      await run(['--ignore-scripts']);
      await rm(userconfig);
    }
    await run([
      ...(hasSecrets ? ['--offline'] : []),
      ...(job.definition.installScripts === 'ignore' ? ['--ignore-scripts'] : []),
    ]);
    return await writeLayer(await installedItems(join(work, 'app'), job.prefix), file, job.signal);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Lays out what npm reads: `app` the source, `npm` npm itself, `cache` and `home` to write to. */
async function prepare(parts: NpmCiParts, { entries, source, config, signal }: NpmJob, work: string): Promise<void> {
  await source.prefetch(entries.map(({ oid }) => oid));
  for (const name of ['app', 'npm', 'cache', 'home', 'tmp']) await mkdir(join(work, name), { recursive: true });
  for (const { path, mode, oid } of entries) {
    const place = join(work, 'app', path);
    await mkdir(dirname(place), { recursive: true });
    const body = await source.read(oid);
    if (mode === '120000') await symlink(body.toString('utf8'), place);
    else await writeFile(place, body, { flag: 'wx', mode: mode === '100755' ? 0o755 : 0o644 });
  }
  const npm = packageFiles(await unzip(await parts.tarball(parts.lock.npm, parts.npm, signal)));
  for (const [path, { body, executable }] of npm) {
    const place = join(work, 'npm', path);
    await mkdir(dirname(place), { recursive: true });
    await writeFile(place, body, { mode: executable ? 0o755 : 0o644 });
  }
  if (config.ca !== undefined) await writeFile(join(work, 'ca.pem'), config.ca);
  for (const name of ['app', 'cache', 'home', 'tmp']) await ownAll(join(work, name));
  await own(work);
}

type RunNpm = (args: readonly string[]) => Promise<void>;

async function starter(parts: NpmCiParts, runner: TaskRunner, job: NpmJob, work: string): Promise<RunNpm> {
  const { definition, config, log, signal } = job;
  const onHost = runner.name === 'host';
  const root = onHost ? work : MOUNT;
  const image = await imageFor(parts, job, runner);
  const env = {
    ...image.config.env,
    HOME: `${root}/home`,
    TMPDIR: `${root}/tmp`,
    npm_config_cache: `${root}/cache`,
    npm_config_registry: config.registry,
    npm_config_userconfig: `${root}/home/.npmrc`,
    npm_config_update_notifier: 'false',
    ...(config.ca === undefined ? {} : { npm_config_cafile: `${root}/ca.pem`, NODE_EXTRA_CA_CERTS: `${root}/ca.pem` }),
    ...Object.fromEntries(Object.entries(config.scopes).map(([scope, url]) => [`npm_config_${scope}:registry`, url])),
  };
  return async (more) => {
    const omit = definition.dependencies === 'production' ? ['--omit=dev'] : [];
    const node = onHost ? execPath : 'node';
    const argv = [
      node,
      `${root}/npm/bin/npm-cli.js`,
      'ci',
      '--no-audit',
      '--no-fund',
      '--foreground-scripts',
      ...omit,
      ...more,
    ];
    let isFull = false;
    const heard = (line: string): void => {
      isFull ||= SAYS_DISK_FULL.test(line);
      log(line);
    };
    const result = await runner.run(
      {
        name: `towpath-npm-${work.slice(-6).toLowerCase()}`,
        image,
        argv,
        env,
        workdir: `${root}/app`,
        user: workUser(),
        mounts: onHost ? [] : [{ from: work, to: MOUNT, writable: true }],
      },
      { log: heard, signal, timeoutMs: TIMEOUT_MS },
    );
    if (isFull) throw new ArtifactError(DISK_FULL);
    if (result.kind !== 'exited' || result.code !== 0) throw npmFailed(result);
  };
}

/** The user's own base has what its packages need; the default base has no shell, so its sibling with one is used. */
async function imageFor(parts: NpmCiParts, job: NpmJob, runner: TaskRunner): Promise<ImageOnMachine> {
  const { definition, platform, base, log, signal } = job;
  if (base.own !== null) return parts.imageOnMachine(runner, { ...base.own, platform }, signal);
  const question = { line: definition.node, platform, variant: 'build' } as const;
  const pin = lockedBase(parts.lock, question);
  if (pin === null) throw cannotRun([`there is no base for ${platform}`]);
  const digest = await ensureNodeBase(parts.base, question, pin, log, signal);
  const place = { images: parts.base.images, repository: BASE_REPOSITORY };
  return parts.imageOnMachine(runner, { ...place, digest, platform }, signal);
}

/** The lines that npm wants for registries and credentials. */
function npmrcOf({ authorizations }: NpmConfig): string {
  return Object.entries(authorizations)
    .map(([prefix, header]) => {
      const [kind, value = ''] = header.split(' ', 2);
      return `${prefix}:${kind === 'Bearer' ? '_authToken' : '_auth'}=${value}\n`;
    })
    .join('');
}

/** As root the work is given to nobody: install scripts are other people's programs. */
function workUser(): string {
  return getuid?.() === 0 ? '65534:65534' : `${getuid?.() ?? 0}:${getgid?.() ?? 0}`;
}

async function own(path: string): Promise<void> {
  if (getuid?.() === 0) await chown(path, 65534, 65534);
}

async function ownAll(path: string): Promise<void> {
  if (getuid?.() !== 0) return;
  await lchown(path, 65534, 65534);
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true }))
    await lchown(join(entry.parentPath, entry.name), 65534, 65534);
}

function cannotRun(reasons: readonly string[]): ArtifactError {
  return new ArtifactError({
    code: 'artifact.npm-needed',
    what: `The packages cannot be unpacked from the lock file alone (${reasons.slice(0, 3).join('; ')}), and nothing on this machine can run npm in isolation.`,
    fix: 'Install bubblewrap, runc or Docker; or set `installScripts: ignore` when the scripts are not needed.',
  });
}

function npmFailed(result: RunResult): ArtifactError {
  const how = howItEnded(result);
  return new ArtifactError({
    code: 'artifact.npm-failed',
    what: `npm ci ${how}.`,
    fix: 'Its last lines in the build log say why; `npm ci` in a clean clone should fail alike.',
  });
}

function howItEnded(result: RunResult): string {
  switch (result.kind) {
    case 'exited':
      return `ended with exit code ${result.code}`;
    case 'timed-out':
      return `took longer than ${TIMEOUT_MS / 60_000} minutes`;
    case 'out-of-memory':
      return 'ran out of memory';
    case 'killed':
      return `was ended by ${result.signal}`;
    case 'unready':
      return `was not started: ${result.why}`;
    default:
      return result satisfies never;
  }
}
