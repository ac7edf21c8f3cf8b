import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { CONFIG_FILE } from '../../config/config-file.ts';
import { parseConfig } from '../../config/config.ts';
import { checkProposal, type ConfigText, knownProjectOf } from '../../config/starter/manifests.ts';
import { environmentOfBranch, nameOf } from '../../deploy/gitops/import/environment-guess.ts';
import type { LeftOut } from '../../deploy/gitops/import/image-fields.ts';
import { SURVEY_LIMITS, type Surveyed, surveyManifests } from '../../deploy/gitops/import/survey.ts';
import { writeProposal } from '../../deploy/gitops/import/write-proposal.ts';
import type { Remote } from '../../git/remote.ts';
import { parseRemoteUrl } from '../../git/remote.ts';
import { openLocalSnapshots, openRemoteSnapshots, originOf, type Snapshots } from '../../git/snapshot.ts';
import { secretsOf } from '../../secret/secret.ts';
import { secretStores } from '../../secret/stores.ts';
import { createHostAccess } from '../../source/host-access.ts';
import { CliError, usage } from '../cli-error.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit.ts';
import { dataDirectoryOf } from '../settings.ts';
import { knownFamilies } from './known-families.ts';

export interface ImportOptions {
  readonly branch?: readonly string[];
  readonly config?: string;
  readonly credential?: string;
  readonly write?: boolean;
}

/** Reads a manifest repository and prints what of it could be written for which service. */
export async function importManifests(context: Context, options: ImportOptions, repository: string): Promise<number> {
  const { out } = context;
  const into = await configOf(options.config);
  if (options.write === true && into !== null) throw isThere(into.file);
  const families = await knownFamilies(context.io);
  const known = into === null ? null : knownProjectOf(parseConfig(into.source, families, into.file));
  const directory = await mkdtemp(join(tmpdir(), 'towpath-import-'));
  try {
    const opened = await open(context, repository, options.credential ?? null, directory);
    const branches = branchesOf(opened.snapshots, options.branch ?? []);
    out.progress(`looking through ${branches.join(', ')}`);
    const surveyed = await surveyManifests(opened.snapshots, {
      branches,
      known,
      now: () => performance.now(),
      signal: context.io.signal,
    }).finally(() => opened.snapshots.close());
    out.settle();
    tell(context, surveyed.leftOut);
    if (surveyed.environments.length === 0) throw nothingFound(repository, surveyed);
    const text = writeProposal(surveyed, {
      repository: opened.address,
      credential: options.credential ?? null,
      branches: surveyed.branches,
      known,
      project: nameOf(basename(opened.address, '.git')) ?? 'manifests',
    });
    checkProposal(text, into, families); // what it says is what the server will read
    const file = options.write === true ? resolve(CONFIG_FILE) : null;
    if (file !== null) await writeNew(file, text);
    const { environments, leftOut } = surveyed;
    const data = {
      file,
      repository: opened.address,
      branches: surveyed.branches,
      environments,
      leftOut: leftOut.slice(0, MOST_LISTED),
      leftOutInAll: leftOut.length,
      text,
    };
    out.data(data, () =>
      file === null ? text.trimEnd() : `${file}: ${environments.length} environments. Look at it and commit it.`,
    );
    return EXIT.ok;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** More lines than these nobody reads. */
const MOST_TOLD = 60;
const MOST_LISTED = 1_000;
const MOST_BRANCHES = 12;
const TIMEOUT_MS = 300_000;

async function open(
  { io, common }: Context,
  repository: string,
  credential: string | null,
  directory: string,
): Promise<{ readonly snapshots: Snapshots; readonly address: string }> {
  const options = { directory, maxFileBytes: SURVEY_LIMITS.fileBytes, timeoutMs: TIMEOUT_MS, signal: io.signal };
  const path = resolve(repository);
  if ((await stat(path).catch(() => null))?.isDirectory() === true)
    return { snapshots: await openLocalSnapshots(path, options), address: addressOf(await originOf(path)) ?? path };
  const secrets = secretsOf(secretStores(io.env, dataDirectoryOf(common, io)));
  const hosts = createHostAccess({
    clock: io.clock,
    secretOf: (reference) => secrets.resolve(reference),
    wait: (ms) => wait(ms, undefined, { signal: io.signal }),
  });
  const remote: Remote = {
    url: repository,
    allow: ['https', 'ssh', 'http', 'file'],
    ...(credential === null
      ? {}
      : { credential: () => hosts.gitCredential({ url: repository, host: null }, credential) }),
  };
  return {
    snapshots: await openRemoteSnapshots(remote, options),
    address: parseRemoteUrl(repository, remote.allow).href,
  };
}

/** The address of a clone without who cloned it; null where it is none that a server could reach. */
function addressOf(origin: string | null): string | null {
  const plain = origin?.replace(/^(https?:\/\/)[^/@]*@/, '$1') ?? '';
  try {
    return parseRemoteUrl(plain).href;
  } catch {
    return null;
  }
}

/** @throws CliError for a branch that is not there */
function branchesOf({ branches, defaultBranch }: Snapshots, asked: readonly string[]): [string, ...string[]] {
  const missing = asked.find((branch) => !branches.includes(branch));
  if (missing !== undefined) throw noBranch(missing, branches);
  const [first = defaultBranch ?? branches.find((branch) => /^(?:main|master)$/.test(branch)), ...more] = asked;
  if (first === undefined) throw noBranch('main', branches);
  if (asked.length > 0) return [first, ...more];
  const others = branches.filter((branch) => branch !== first && environmentOfBranch(branch) !== null);
  return [first, ...others.slice(0, MOST_BRANCHES)];
}

async function configOf(named: string | undefined): Promise<ConfigText | null> {
  const file = resolve(named ?? CONFIG_FILE);
  try {
    return { source: await readFile(file), file };
  } catch (error) {
    if (named === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw usage(`${file} cannot be read.`, `Name a ${CONFIG_FILE}.`);
  }
}

function tell({ out }: Context, leftOut: readonly LeftOut[]): void {
  if (out.json) return;
  for (const { where, why } of leftOut.slice(0, MOST_TOLD)) out.note(`! ${where} ${why}`);
  if (leftOut.length > MOST_TOLD) out.note(`! and ${leftOut.length - MOST_TOLD} more; --json lists them`);
}

async function writeNew(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? isThere(file) : error;
  }
}

function isThere(file: string): CliError {
  return new CliError({
    code: 'cli.file-exists',
    what: `${file} is there already.`,
    fix: 'Leave --write away, and put what is printed into it.',
  });
}

function noBranch(branch: string, branches: readonly string[]): CliError {
  return new CliError({
    code: 'cli.no-branch',
    what: `The repository has no branch ${branch}.`,
    fix: branches.length === 0 ? 'Push something first.' : `Choose of ${branches.slice(0, 20).join(', ')}.`,
  });
}

function nothingFound(repository: string, { branches, leftOut }: Surveyed): CliError {
  const files = branches.reduce((sum, one) => sum + one.files, 0);
  return new CliError({
    code: 'cli.no-images',
    what: `None of the ${files} files of ${repository} has an image that could be written for a service (${leftOut.length} things were left out).`,
    fix: 'Name the towpath.yaml with the services by --config, or write the places by hand: docs/guide/gitops.md.',
  });
}
