import { join } from 'node:path';

import { markedProcesses } from '../../src/container/process/marked.ts';
import { sha256Hex } from '../../src/lib/digest.ts';

/**
 * SIGKILL to all that the process driver of a data directory runs, found by the mark that each carries. They live on
 * when their server ends, so whoever starts a server for a test has to do this.
 * @returns how many instances were killed
 */
export async function killPrograms(data: string): Promise<number> {
  const ours = `-${sha256Hex(join(data, 'run', 'instances')).slice(0, 8)}`;
  let killed = 0;
  for (const [mark, processes] of markedProcesses()) {
    if (!mark.endsWith(ours)) continue;
    killed += 1;
    for (const { pid } of processes) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it has ended by itself
      }
    }
  }
  return killed;
}
