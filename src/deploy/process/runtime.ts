import { mkdir, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { type Account, accountOf, type Launcher, type LaunchSpec } from '../../container/process/launcher.ts';
import { removeLimitGroup } from '../../container/process/limits.ts';
import { type MarkedProcess, markedProcesses } from '../../container/process/marked.ts';
import { startService, stopService } from '../../container/process/service.ts';
import type { ImageSource } from '../../container/rootfs/image.ts';
import { removeTree } from '../../container/rootfs/folders.ts';
import { ensureRootfs } from '../../container/rootfs/unpack.ts';
import type { ImageOnMachine } from '../../container/runtime.ts';
import { withFileLock } from '../../git/file-lock.ts';
import type { Clock } from '../../lib/clock.ts';
import { type Digest, sha256Hex } from '../../lib/digest.ts';
import { hasCode } from '../../lib/error.ts';
import type { LogLine } from '../../lib/log.ts';
import { DeployError } from '../deploy-error.ts';
import type { Target } from '../driver.ts';
import { type InstanceSpec, type Runtime, targetKey } from '../rollout.ts';
import { DIGEST, digestOf, instanceOf, isRecordedAlive, portOf, tellingOf, unreadableInstance } from './instance.ts';
import { dropOutput, outputWithSecrets, tailOf } from './output.ts';
import { claimPort, releasePort } from './ports.ts';
import {
  type BrokenRecord,
  type ProcessRecord,
  readAllRecords,
  readRecord,
  readRecords,
  saveRecord,
} from './record.ts';
import { clearSecrets, readSecrets, removeSecrets, writeSecrets } from './secret-files.ts';

export interface ProcessParts {
  /** Holds a folder per target, and one per instance in it. */
  readonly directory: string;
  /** Where unpacked images lie. */
  readonly rootfsDirectory: string;
  /** Where an image is read, by `host/repository`. */
  readonly locate: (image: string) => {
    readonly host: string;
    readonly images: ImageSource;
    readonly repository: string;
  };
  /** In order of preference; the first that works on this machine is used. */
  readonly launchers: readonly Launcher[];
  readonly clock: Clock;
}

const LOCK = { waitMs: 60_000 };

/** Users of our own for targets, far above those that people and systems get. */
const FIRST_UID = 0x7800_0000;
const UID_COUNT = 0x0600_0000;

export interface ProcessRuntime extends Runtime {
  /** Starts again what a record tells of, on the port that it had. */
  revive(record: ProcessRecord, secrets: ReadonlyMap<string, string>, log: LogLine): Promise<void>;
}

/** Runs instances as processes of this machine that outlive the server. */
export function processRuntime(
  parts: ProcessParts,
): Runtime & { revive(record: ProcessRecord, secrets: ReadonlyMap<string, string>, log: LogLine): Promise<void> } {
  const folderOf = (target: Target, id: string): string => join(parts.directory, targetKey(target), id);
  const begin = (instance: InstanceSpec, revivals: number, log: LogLine): Promise<void> => {
    const folder = folderOf(instance.target, instance.id);
    const work = async (): Promise<void> => {
      const pid = await recordedPid(folder);
      const running = tellingOf(markedProcesses().get(markOf(parts, instance.id)));
      if (running !== undefined) return ensureRecord(parts, instance, folder, running);
      if (isRecordedAlive(markOf(parts, instance.id), pid)) return;
      await startAnew(parts, instance, folder, revivals, log);
    };
    return locked(folder, work);
  };
  return {
    ensureImage: async (image, digest, { signal }) => {
      await unpack(parts, image, digest, signal);
    },
    start: (instance, { log }) => begin(instance, 0, log),
    revive: (record, secrets, log) => begin({ ...record, secrets }, record.revivals + 1, log),
    list: async (target) => {
      const { known, broken } = await readRecords(join(parts.directory, targetKey(target)));
      const marked = markedProcesses();
      return [
        ...known.map((record) => instanceOf(record, tellingOf(marked.get(record.mark)))),
        ...broken.map((one) => unreadableInstance(one, tellingOf(marked.get(markOf(parts, one.id))))),
      ];
    },
    stop: async (target, id, graceMs) => {
      const folder = folderOf(target, id);
      await locked(folder, async () => {
        await stopService(markOf(parts, id), await recordedPid(folder), graceMs);
      });
    },
    remove: async (target, id) => {
      const folder = folderOf(target, id);
      await removeSecrets(dirname(folder), id);
      await removeLimitGroup(markOf(parts, id));
      await releasePort(join(parts.directory, 'ports'), id);
      await removeTree(folder);
    },
    tail: (target, id, lines) => tailOf(folderOf(target, id), lines),
    output: (target, id, wish) => outputWithSecrets(folderOf(target, id), wish),
    clear: async (target) => {
      const folder = join(parts.directory, targetKey(target));
      await clearSecrets(folder);
      await rmdir(folder).catch(() => undefined);
    },
  };
}

/**
 * The images of all that was started here and is not removed. A process tells by itself what it runs, so that the
 * image of one whose record is broken is not taken from under it.
 */
export async function startedDigests(directory: string): Promise<Digest[]> {
  const { known } = await readAllRecords(directory);
  const processes = [...markedProcesses().values()].flat();
  return [
    ...known.map(({ service }) => service.digest),
    ...processes.map(digestOf).filter((digest) => digest !== null),
  ];
}

async function startAnew(
  parts: ProcessParts,
  instance: InstanceSpec,
  folder: string,
  revivals: number,
  log: LogLine,
): Promise<void> {
  const { id, target, service } = instance;
  const image = await unpack(parts, service.image, service.digest);
  const launcher = await launcherOf(parts.launchers);
  const account = await accountFor(launcher, image, target);
  await mkdir(folder, { recursive: true, mode: 0o711 });
  // the values that an earlier start was given are needed to blacken what it printed: with them it goes
  const before = await readSecrets(dirname(folder), id);
  if (!hasSame(before, instance.secrets)) await dropOutput(folder);
  const port = service.port === undefined ? null : await claimPort(join(parts.directory, 'ports'), id);
  const secrets =
    instance.secrets.size === 0 ? null : await writeSecrets(dirname(folder), id, instance.secrets, account);
  const mark = markOf(parts, id);
  const record = recordOf(parts, instance, { port, revivals, pid: null });
  await saveRecord(folder, record); // before it starts: what runs under this mark is ours, whatever happens to us
  const started = await startService(launcher, specOf(instance, image, account, port, secrets, launcher), mark, folder);
  await saveRecord(folder, { ...record, pid: started.pid });
  const who = account === null ? 'as the user of this server' : `as user ${account.uid}`;
  log(`${id} runs ${who} by ${launcher.name}; it shares this machine's network and is not isolated like a container`);
  for (const limit of started.notHeld) log(`note: the limit "${limit}" cannot be held on this machine`);
}

/** One that runs though its record is broken or gone gets it back from whoever asks for it again. */
async function ensureRecord(
  parts: ProcessParts,
  instance: InstanceSpec,
  folder: string,
  running: MarkedProcess,
): Promise<void> {
  if ((await readRecord(folder)).kind === 'known') return;
  await mkdir(folder, { recursive: true, mode: 0o711 });
  const port = instance.service.port === undefined ? null : portOf(running);
  await saveRecord(folder, recordOf(parts, instance, { port, revivals: 0, pid: running.group }));
}

function recordOf(
  parts: ProcessParts,
  { id, index, operation, target, service }: InstanceSpec,
  seen: Pick<ProcessRecord, 'port' | 'revivals' | 'pid'>,
): ProcessRecord {
  const mark = markOf(parts, id);
  return { id, mark, index, operation, target, service, ...seen, startedAtMs: parts.clock.now() };
}

function hasSame(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return one.size === other.size && [...one].every(([name, value]) => other.get(name) === value);
}

function specOf(
  { id, service }: InstanceSpec,
  image: ImageOnMachine,
  account: Account | null,
  port: number | null,
  secrets: string | null,
  launcher: Launcher,
): LaunchSpec {
  const inside = launcher.isolates || launcher.name === 'chroot' ? '/run/secrets' : secrets;
  return {
    name: id,
    image,
    account,
    diesWithUs: false,
    ...(service.command === undefined ? {} : { argv: service.command }),
    env: {
      ...service.env,
      ...(port === null ? {} : { PORT: String(port) }),
      ...(secrets === null || inside === null ? {} : { TOWPATH_SECRETS: inside }),
      [DIGEST]: service.digest,
    },
    mounts: secrets === null || inside === secrets ? [] : [{ from: secrets, to: '/run/secrets', writable: false }],
    limits: service.limits,
  };
}

/** One server of this machine at a time works on an instance. */
async function locked<T>(folder: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(folder), { recursive: true, mode: 0o711 });
  return withFileLock(`${folder}.lock`, work, LOCK).catch((error: unknown) => {
    throw hasCode(error, 'git.locked') ? busy() : error;
  });
}

function busy(): DeployError {
  return new DeployError({
    code: 'deploy.busy',
    what: 'Another server of this machine has been at work with this very process for a minute.',
    fix: 'See which Towpath process hangs, and end it.',
  });
}

export async function launcherOf(launchers: readonly Launcher[]): Promise<Launcher> {
  for (const launcher of launchers) if (await launcher.available()) return launcher;
  throw new DeployError({
    code: 'deploy.no-launcher',
    what: 'This machine has no way to run programs of images as processes.',
    fix: 'Install bubblewrap, or deploy with the docker driver.',
  });
}

/** As root, every target gets a user of its own, unless the image names one that is not root. */
export async function accountFor(launcher: Launcher, image: ImageOnMachine, target: Target): Promise<Account | null> {
  if (process.geteuid?.() !== 0) return null;
  const own = FIRST_UID + (Number.parseInt(sha256Hex(targetKey(target)).slice(0, 8), 16) % UID_COUNT);
  if (launcher.name !== 'host') {
    const wanted = await accountOf(image);
    return wanted.uid === 0 ? { uid: own, gid: own } : wanted;
  }
  for (let folder = image.rootfs ?? '/'; folder !== '/'; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) !== 0) continue;
    throw new DeployError({
      code: 'deploy.unreachable-data',
      what: `Users other than root cannot enter ${folder}, where images are unpacked, and nothing runs as root here.`,
      fix: 'Install bubblewrap, or keep the data in a folder that others may enter (`--data /var/lib/towpath`).',
    });
  }
  return { uid: own, gid: own };
}

/** Another installation on this machine may have an instance of the same name. */
function markOf(parts: ProcessParts, id: string): string {
  return `${id}-${sha256Hex(parts.directory).slice(0, 8)}`;
}

/**
 * The leader of the group that was started. On Linux the mark is what counts; elsewhere nothing else is known, so that
 * without the record nobody may say that it has ended. @throws DeployError `deploy.record-broken`
 */
async function recordedPid(folder: string): Promise<number | null> {
  const found = await readRecord(folder);
  if (found.kind === 'broken' && process.platform !== 'linux') throw recordBroken(found.broken);
  return found.kind === 'known' ? found.record.pid : null;
}

function recordBroken({ id, file, why }: BrokenRecord): DeployError {
  return new DeployError({
    code: 'deploy.record-broken',
    what: `The record of ${id} in ${file} is broken (${why}), and this machine does not tell whether it still runs.`,
    fix: 'End the program by hand if it runs, and remove the folder of the record.',
  });
}

export function unpack(
  parts: ProcessParts,
  image: string,
  digest: Digest,
  signal?: AbortSignal,
): Promise<ImageOnMachine> {
  const { host, images, repository } = parts.locate(image);
  const options = { directory: parts.rootfsDirectory, host, ...(signal === undefined ? {} : { signal }) };
  return ensureRootfs(images, repository, digest, options);
}
