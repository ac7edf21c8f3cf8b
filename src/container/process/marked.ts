import { readFile, readdir } from 'node:fs/promises';

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
 * the recorded process id has to do.
 */
export async function markedProcesses(): Promise<ReadonlyMap<string, readonly MarkedProcess[]>> {
  const found = new Map<string, MarkedProcess[]>();
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  await Promise.all(
    pids.map(async (name) => {
      const marked = await readMarked(Number(name));
      if (marked === null) return;
      found.set(marked.mark, [...(found.get(marked.mark) ?? []), marked]);
    }),
  );
  return found;
}

async function readMarked(pid: number): Promise<(MarkedProcess & { mark: string }) | null> {
  try {
    const environ = await readFile(`/proc/${pid}/environ`, 'latin1');
    if (!environ.includes(`${MARK}=`)) return null;
    const env = new Map(Buffer.from(environ, 'latin1').toString('utf8').split('\0').filter(Boolean).map(pairOf));
    const mark = env.get(MARK);
    if (mark === undefined) return null;
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before may hold anything
    return state === 'Z' || state === 'X' ? null : { mark, pid, group: Number(group), env };
  } catch {
    return null; // ended meanwhile, or not ours to see
  }
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
