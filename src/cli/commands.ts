import { artifact } from './artifact.ts';
import { audit } from './audit.ts';
import { base } from './base.ts';
import { pact } from './pact.ts';
import { completion } from './completion.ts';
import { approve, cancel, reject } from './decide.ts';
import { diff } from './diff.ts';
import { doctor } from './doctor.ts';
import { env } from './env.ts';
import { gitops } from './gitops.ts';
import { hold, resume } from './hold.ts';
import type { House } from './house.ts';
import { init } from './init.ts';
import type { Io } from './io.ts';
import { key } from './key.ts';
import { lineage } from './lineage.ts';
import { logs } from './logs.ts';
import { notify } from './notify.ts';
import { open } from './open.ts';
import { createProgram, runProgram } from './program.ts';
import { project } from './project.ts';
import { promote } from './promote.ts';
import { registry } from './registry.ts';
import { build, release } from './release.ts';
import { rollback } from './rollback.ts';
import { scan } from './scan.ts';
import { demo, proxy, serve, up } from './servers.ts';
import { status } from './status.ts';
import { test } from './test.ts';
import { token } from './token.ts';
import { validate } from './validate.ts';
import type { Verb } from './verb.ts';
import { verify } from './verify.ts';
import { why } from './why.ts';
import { unyank, yank } from './yank.ts';

/** Every command, in the order of the help: what one starts with, what one does each day, what is rare. */
export const VERBS: readonly Verb[] = [
  up,
  demo,
  init,
  validate,
  status,
  promote,
  rollback,
  approve,
  reject,
  cancel,
  why,
  diff,
  verify,
  lineage,
  logs,
  hold,
  resume,
  yank,
  unyank,
  build,
  test,
  release,
  env,
  project,
  notify,
  artifact,
  base,
  pact,
  registry,
  gitops,
  scan,
  key,
  audit,
  open,
  token,
  doctor,
  completion,
  serve,
  proxy,
];

/**
 * Runs one command line.
 * @param argv without the program's own name
 * @returns an exit code of `exit.ts`; nothing is thrown
 */
export async function runCli(argv: readonly string[], io: Io, house: House, version: string): Promise<number> {
  return runProgram((run) => createProgram(VERBS, run, io, version), argv, io, house);
}
