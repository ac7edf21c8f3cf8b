import { execFile } from 'node:child_process';
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { programPath } from '../tools/packages.js';

const run = promisify(execFile);

/** The version that Towpath is measured against. */
const CRANE = 'github.com/google/go-containerregistry/cmd/crane@v0.20.6';

/**
 * The path of `crane`: the one of the machine, or one built here with Go from the module proxy, once.
 * @returns what stands in the way, when there is none
 */
export async function findCrane(): Promise<{ path: string } | { missing: string }> {
  const installed = programPath('crane');
  if (installed !== null) return { path: installed };
  const folder = join(process.cwd(), 'node_modules', '.cache', 'towpath-bench');
  const path = join(folder, 'crane');
  if (await access(path).then(always, never)) return { path };
  const go = programPath('go') ?? '/usr/local/go/bin/go';
  if (!(await access(go).then(always, never))) return { missing: 'there is neither crane nor Go on this machine' };
  await mkdir(folder, { recursive: true });
  console.error(`building ${CRANE}; this takes a minute, once`);
  try {
    await run(go, ['install', CRANE], { env: { ...process.env, GOBIN: folder } });
    return { path };
  } catch (error) {
    return { missing: `Go could not build ${CRANE}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

const always = () => true;
const never = () => false;
