import type { Clock } from '../../lib/clock.ts';
import type { LogLine } from '../../lib/log.ts';
import type { Secrets } from '../../secret/secret.ts';
import { ageMeter } from '../age.ts';
import type { Ledger } from '../ledger-store.ts';
import { type ProcessRecord, readAllRecords } from './record.ts';
import type { ProcessRuntime } from './runtime.ts';

export interface Reviver {
  /**
   * Starts again what is meant to serve and does not run: a program that crashed, or all of them after a reboot. Call
   * it at the start of a server and from its sweep; the pause between tries doubles up to a minute. One that cannot
   * be started, or whose record is broken, does not keep the others down.
   * @returns how many were started
   */
  revive(log: LogLine): Promise<number>;
}

const MAX_PAUSE_MS = 60_000;

export function reviver(parts: {
  readonly directory: string;
  readonly runtime: Pick<ProcessRuntime, 'list' | 'stop' | 'revive'>;
  readonly ledger: Ledger;
  readonly secrets: Secrets;
  readonly clock: Clock;
}): Reviver {
  const told = new Set<string>();
  const ageOf = ageMeter(parts.clock);
  return {
    revive: async (log) => {
      const { known, broken } = await readAllRecords(parts.directory);
      for (const { id, file, why } of broken) {
        if (told.has(file)) continue; // once is enough: the sweep comes every few seconds
        told.add(file);
        log(
          `The record of ${id} is broken (${why}): ${file}. It is not started again if it ends. ` +
            'Promote into its environment once more: that starts it anew and clears away what is left.',
        );
      }
      let revived = 0;
      for (const record of known) {
        try {
          if (!isDue(record, ageOf(record)) || !(await isMeantToServe(parts.ledger, record))) continue;
          const instances = await parts.runtime.list(record.target);
          if (instances.some(({ id, running }) => id === record.id && running)) continue;
          log(`${record.id} does not run; starting it again (${record.revivals + 1})`);
          await parts.runtime.revive(record, await valuesOf(parts.secrets, record), log);
          revived += 1;
          // A rollout may have retired it while it was being started: then it is nobody's.
          if (!(await isMeantToServe(parts.ledger, record))) await parts.runtime.stop(record.target, record.id, 0);
        } catch (error) {
          log(`${record.id} could not be started: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      return revived;
    },
  };
}

function isDue(record: ProcessRecord, ageMs: number): boolean {
  const pauseMs = record.revivals === 0 ? 0 : Math.min(1000 * 2 ** record.revivals, MAX_PAUSE_MS);
  return ageMs >= pauseMs;
}

async function isMeantToServe(ledger: Ledger, { target, service, id }: ProcessRecord): Promise<boolean> {
  return (await ledger.serving(target))[service.service]?.includes(id) ?? false;
}

async function valuesOf(secrets: Secrets, { service }: ProcessRecord): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  for (const [name, reference] of Object.entries(service.secrets)) values.set(name, await secrets.resolve(reference));
  return values;
}
