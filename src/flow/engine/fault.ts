import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { currentWorkflow } from './durable.ts';

/**
 * The points of a step at which the kill suite ends the process: nothing was done yet; its side effect is done and the
 * engine does not know; the engine knows.
 */
export type Boundary = 'before' | 'done' | 'recorded';

export interface FaultPlan {
  /**
   * `<workflow>:<step>:<boundary>`, with `#n` for the n-th time that this process passes it; or `@FILE`, which holds such a
   * name whenever one is wanted: it is read at each boundary, the passings are counted in it, over all processes that read
   * it, and the one that dies of it removes it.
   */
  readonly at: string | undefined;
  /** A file that is made at the kill; where it exists already, nothing is killed. */
  readonly onceFile: string | undefined;
  /** A file to which the name of each boundary passed is appended. */
  readonly traceFile: string | undefined;
}

/** Reads `TOWPATH_FAULT`, `TOWPATH_FAULT_ONCE` and `TOWPATH_FAULT_TRACE`: for the kill suite, never for production. */
export function readFaultPlan(env: NodeJS.ProcessEnv): FaultPlan {
  const given = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);
  return {
    at: given('TOWPATH_FAULT'),
    onceFile: given('TOWPATH_FAULT_ONCE'),
    traceFile: given('TOWPATH_FAULT_TRACE'),
  };
}

const plan = readFaultPlan(process.env);
const passed = new Map<string, number>();

/**
 * Marks that the running workflow is at a boundary of a step; does nothing but for the kill suite.
 * @param workflow what is no workflow says its own name
 */
export function passBoundary(step: string, boundary: Boundary, workflow = currentWorkflow()): void {
  if (plan.at === undefined && plan.traceFile === undefined) return;
  const name = `${workflow}:${step}:${boundary}`;
  const times = (passed.get(name) ?? 0) + 1;
  passed.set(name, times);
  if (plan.traceFile !== undefined) appendFileSync(plan.traceFile, `${name}\n`);
  if (plan.at?.startsWith('@') === true) {
    if (isArmed(plan.at.slice(1), name)) killMyself();
  } else if (isHit(plan.at, name, times) && mayKill(plan.onceFile)) killMyself();
}

/** Of several processes that pass the boundary at once, one takes the file; the others pass uncounted. */
export function isArmed(file: string, name: string): boolean {
  const taken = `${file}.${process.pid}`;
  try {
    const { wanted, nth } = parse(readFileSync(file, 'utf8').trim());
    if (wanted !== name) return false;
    renameSync(file, taken);
    if (nth > 1) {
      writeFileSync(taken, `${wanted}#${nth - 1}`);
      renameSync(taken, file);
      return false;
    }
    rmSync(taken);
    return true;
  } catch {
    return false;
  }
}

export function isHit(at: string | undefined, name: string, times: number): boolean {
  if (at === undefined) return false;
  const { wanted, nth } = parse(at);
  return wanted === name && times === nth;
}

function parse(at: string): { wanted: string; nth: number } {
  const [, wanted = at, nth = '1'] = /^(.*?)(?:#(\d+))?$/.exec(at) ?? [];
  return { wanted, nth: Number(nth) };
}

function mayKill(onceFile: string | undefined): boolean {
  if (onceFile === undefined) return true;
  try {
    writeFileSync(onceFile, '', { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

/** As a power cut would: no handler runs, nothing is flushed. The signal may take a moment to arrive; nothing goes on meanwhile. */
function killMyself(): never {
  process.kill(process.pid, 'SIGKILL');
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
}
