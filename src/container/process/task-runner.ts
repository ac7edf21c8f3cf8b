import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';

import type { LogLine } from '../../lib/log.ts';
import { MAKER } from '../../lib/maker.ts';
import { removeTree } from '../rootfs/folders.ts';
import type { RunResult, RunSpec, TaskRunner } from '../runtime.ts';
import { accountOf, type Launcher } from './launcher.ts';
import { limitGroup } from './limits.ts';
import { MARK, markedProcesses } from './marked.ts';
import { launch, settle, signalGroup } from './start.ts';

const GRACE_MS = 2000;
const NOTHING_BESIDE =
  'it needs parts beside it, and this machine has no Docker Engine to run them: start one, or set DOCKER_HOST';
const MAX_LINE = 16 * 1024;

/**
 * Runs programs of unpacked images to their end. A task dies with this process where the launcher can see to it.
 * @param directory where scratch folders may lie, on a disk with room
 */
export function taskRunner(launcher: Launcher, directory: string): TaskRunner {
  return {
    name: launcher.name,
    isolates: launcher.isolates,
    run: async (spec, options) => {
      options.signal.throwIfAborted();
      if (spec.beside !== undefined && spec.beside.length > 0) return { kind: 'unready', why: NOTHING_BESIDE };
      const scratch = join(directory, `task-${MAKER}-${randomBytes(6).toString('hex')}`);
      await mkdir(scratch, { recursive: true, mode: 0o755 });
      try {
        return await run(launcher, spec, scratch, options);
      } finally {
        await removeTree(scratch);
      }
    },
  };
}

async function run(
  launcher: Launcher,
  spec: RunSpec,
  scratch: string,
  { log, signal, timeoutMs }: { log: LogLine; signal: AbortSignal; timeoutMs: number },
): Promise<RunResult> {
  const account = process.geteuid?.() === 0 ? await accountOf(spec.image, spec.user) : null;
  const mark = basename(scratch);
  // the network is the machine's
  const port = spec.serves === undefined ? {} : { PORT: String(spec.serves.onMachine) };
  const marked = { ...spec, env: { ...spec.env, ...port, [MARK]: mark } };
  const command = await launcher.prepare({ ...marked, account, diesWithUs: true }, scratch);
  const group = await limitGroup(mark, spec.limits ?? {});
  for (const limit of group.notHeld) log(`note: the limit "${limit}" cannot be held on this machine`);
  try {
    const child = launch(command, 'pipe', mark);
    const pid = child.pid ?? 0;
    const finished = finish(child, pid, mark, log);
    await settle(child, command, mark, group);
    let timedOut = false;
    let force: NodeJS.Timeout | undefined;
    const end = (): void => {
      signalGroup(pid, 'SIGTERM');
      force ??= setTimeout(() => signalGroup(pid, 'SIGKILL'), GRACE_MS);
    };
    const timer = setTimeout(() => {
      timedOut = true;
      end();
    }, timeoutMs);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    const result = await finished;
    clearTimeout(timer);
    clearTimeout(force);
    signal.removeEventListener('abort', end);
    await command.finish();
    signal.throwIfAborted();
    const notHeld = group.notHeld.length === 0 ? {} : { notHeld: group.notHeld };
    if (timedOut) return { kind: 'timed-out', ...notHeld };
    const isStarved = (await group.wentOutOfMemory()) || command.wentOutOfMemory?.(result) === true;
    return { ...(isStarved ? { kind: 'out-of-memory' } : result), ...notHeld };
  } finally {
    await group.remove();
  }
}

/** Resolves when the program and all that it left behind are gone, and its last line is logged. */
function finish(child: ChildProcess, pid: number, mark: string, log: LogLine): Promise<RunResult> {
  const exited = new Promise<RunResult>((resolve) => {
    child.once('exit', (code, killedBy) => {
      const result: RunResult =
        killedBy === null ? { kind: 'exited', code: code ?? -1 } : { kind: 'killed', signal: killedBy };
      void killLeftovers(pid, mark).then(() => resolve(result));
    });
  });
  const finished = Promise.all([exited, lines(child.stdout, log), lines(child.stderr, log)]).then(([result]) => result);
  finished.catch(() => undefined); // one that did not start is told by `settle`
  return finished;
}

/** What a task left behind must neither hold our pipes open nor go on working. */
async function killLeftovers(group: number, mark: string): Promise<void> {
  signalGroup(group, 'SIGKILL');
  const left = markedProcesses().get(mark) ?? [];
  for (const group of new Set(left.map((process) => process.group))) signalGroup(group, 'SIGKILL');
}

async function lines(stream: Readable | null, log: LogLine): Promise<void> {
  if (stream === null) return;
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    const parts = (rest + String(chunk)).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) log(part.slice(0, MAX_LINE).replace(/\r$/, ''));
    if (rest.length > MAX_LINE) {
      log(rest);
      rest = '';
    }
  }
  if (rest !== '') log(rest);
}
