import { mayCarry, type MarkedProcess } from '../../container/process/marked.ts';
import { signalGroup } from '../../container/process/start.ts';
import { type Digest, isDigest } from '../../lib/digest.ts';
import type { Instance } from '../rollout.ts';
import type { BrokenRecord, ProcessRecord } from './record.ts';

/** By this variable a process says what it runs, whatever the records say. */
export const DIGEST = 'TOWPATH_DIGEST';

/** What an instance is filed under whose record is broken: no service of a release has this name, so it is left over. */
const UNREADABLE = '(unreadable record)';
const UNKNOWN: Digest = `sha256:${'0'.repeat(64)}`;

/** @param process one that carries the mark of the instance; none where it does not run, or there is no /proc */
export function instanceOf(record: ProcessRecord, process: MarkedProcess | undefined): Instance {
  const running = process === undefined ? isRecordedAlive(record.mark, record.pid) : true;
  return {
    id: record.id,
    service: record.service.service,
    operation: record.operation,
    digest: digestOf(process) ?? record.service.digest,
    running,
    startedAtMs: record.startedAtMs,
    address: record.port === null || !running ? null : { host: '127.0.0.1', port: record.port },
    health: record.service.health ?? null,
    publicPort: record.service.publicPort ?? null,
  };
}

/** What can be said without the record: that it is there, and, of one that runs, what and where. */
export function unreadableInstance({ id }: BrokenRecord, process: MarkedProcess | undefined): Instance {
  const port = portOf(process);
  return {
    id,
    service: UNREADABLE,
    operation: '',
    digest: digestOf(process) ?? UNKNOWN,
    running: process !== undefined,
    startedAtMs: 0,
    address: port === null ? null : { host: '127.0.0.1', port },
    health: null,
    publicPort: null,
  };
}

/** Of the processes of an instance one that tells what it runs: a launcher carries the mark and nothing else. */
export function tellingOf(processes: readonly MarkedProcess[] = []): MarkedProcess | undefined {
  return processes.find(({ env }) => env.has(DIGEST)) ?? processes[0];
}

export function digestOf(process: MarkedProcess | undefined): Digest | null {
  const seen = process?.env.get(DIGEST);
  return isDigest(seen) ? seen : null;
}

export function portOf(process: MarkedProcess | undefined): number | null {
  const port = Number(process?.env.get('PORT'));
  return Number.isInteger(port) && port > 0 ? port : null;
}

/**
 * Whether the leader that was recorded lives though no process was seen to carry the mark: it may just be executing a
 * program. Where there is no /proc the number has to do, though another process may have it by now.
 */
export function isRecordedAlive(mark: string, pid: number | null): boolean {
  if (pid === null) return false;
  return process.platform === 'linux' ? mayCarry(mark, pid) : signalGroup(pid, 0);
}
