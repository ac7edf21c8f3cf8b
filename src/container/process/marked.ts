import { readdirSync, readFileSync } from 'node:fs';

/**
 * The variable by which processes of ours are found again after a kill of the server, whatever they forked since:
 * children inherit it, and the kernel keeps it as it was at the start.
 */
export const MARK = 'TOWPATH_INSTANCE';

export interface MarkedProcess {
  readonly pid: number;
  readonly group: number;
  /** The variables that it was started with, as the kernel shows them. */
  readonly env: ReadonlyMap<string, string>;
}

/**
 * All living processes that carry a mark, by mark. Only where there is /proc (Linux); elsewhere the map is empty and
 * the recorded process id has to do. Read at once: /proc is no disk, and four trips to other threads for each of its
 * files cost more than twice as much.
 */
export function markedProcesses(): ReadonlyMap<string, readonly MarkedProcess[]> {
  const found = new Map<string, MarkedProcess[]>();
  for (const pid of processIds()) {
    const marked = readMarked(pid);
    if (marked !== null) found.set(marked.mark, [...(found.get(marked.mark) ?? []), marked]);
  }
  return found;
}

/**
 * Whether the leader of a group lives and carries the mark, or may: from the moment when it begins to execute another
 * program to when that program is loaded, the kernel shows no variables of a process (`environ_read` in
 * fs/proc/base.c), on a busy machine for as long as others are served first.
 * @param leader of a group that was started under the mark
 */
export function mayCarry(mark: string, leader: number): boolean {
  try {
    const environ = readFileSync(`/proc/${leader}/environ`, 'utf8');
    if (environ !== '') return environ.split('\0').includes(`${MARK}=${mark}`);
    const { state, group } = readStat(leader);
    return !isEnded(state) && group === leader; // a thread of the kernel has no variables, and no group
  } catch {
    return false; // ended, or not ours to see
  }
}

function processIds(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function readMarked(pid: number): (MarkedProcess & { mark: string }) | null {
  try {
    const environ = readFileSync(`/proc/${pid}/environ`, 'latin1');
    if (!environ.includes(`${MARK}=`)) return null;
    const env = new Map(Buffer.from(environ, 'latin1').toString('utf8').split('\0').filter(Boolean).map(pairOf));
    const mark = env.get(MARK);
    if (mark === undefined) return null;
    const { state, group } = readStat(pid);
    return isEnded(state) ? null : { mark, pid, group, env };
  } catch {
    return null; // ended meanwhile, or not ours to see
  }
}

function readStat(pid: number): { state: string | undefined; group: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
  return { state, group: Number(group) };
}

function isEnded(state: string | undefined): boolean {
  return state === 'Z' || state === 'X';
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
