import { join } from 'node:path';

import type { Secrets } from '../../secret/secret.ts';
import type { DeployDriver } from '../driver.ts';
import type { Ledger } from '../ledger-store.ts';
import { createLocalDriver, type LocalConfig } from '../local.ts';
import type { Cutover, Probe } from '../local-observer.ts';
import type { RolloutAction } from '../rollout.ts';
import { processStatement } from './config.ts';
import { processJobs } from './jobs.ts';
import { capOutputs } from './output.ts';
import { type Reviver, reviver } from './revive.ts';
import { type ProcessParts, processRuntime } from './runtime.ts';

export interface ProcessDriverParts extends Omit<ProcessParts, 'directory'> {
  /** Holds all that this driver keeps. */
  readonly directory: string;
  /** Where programs that run to their end have their scratch folders. */
  readonly work: string;
  readonly cutover: Cutover;
  readonly ledger: Ledger;
  readonly secrets: Secrets;
  readonly probe: Probe;
}

export interface ProcessDriver extends DeployDriver<LocalConfig, RolloutAction>, Reviver {
  /** Keeps what instances print below a size each, once now. Call it often: until the next time a file may grow. */
  capOutputs(limitBytes?: number): Promise<void>;
}

/** Of this and as much before it at most; the Docker Engine is told to keep about as much. */
const OUTPUT_LIMIT_BYTES = 10_000_000;

/**
 * Runs images as processes of this machine, for machines without a container engine. Programs get a root folder, a
 * user and limits of their own where the machine allows it; they share its network and its kernel without a wall, so
 * this is no isolation, and the plan says so.
 */
export function createProcessDriver(parts: ProcessDriverParts): ProcessDriver {
  const { cutover, ledger, secrets, probe, clock } = parts;
  const directory = join(parts.directory, 'instances');
  const runtime = processRuntime({ ...parts, directory });
  const how = 'run as host processes (not isolated)';
  const driver = createLocalDriver({
    statement: processStatement,
    how,
    runtime: { ...runtime, jobs: processJobs({ ...parts, directory }, parts.work) },
    cutover,
    ledger,
    secrets,
    probe,
    clock,
  });
  return {
    ...driver,
    ...reviver({ directory, runtime, ledger, secrets, clock }),
    capOutputs: (limitBytes = OUTPUT_LIMIT_BYTES) => capOutputs(directory, limitBytes),
  };
}
