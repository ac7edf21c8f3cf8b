// Real registry clients that the tests run against and that no Debian package has: built with Go from the module proxy,
// at these versions, once. Plain JavaScript, as packages.js. Without Go it says so, and only what needs them is left out.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { programPath } from './packages.js';

const MODULES = {
  crane: 'github.com/google/go-containerregistry/cmd/crane@v0.20.6',
  oras: 'oras.land/oras/cmd/oras@v1.2.3',
};

const FOLDER = fileURLToPath(new URL('../node_modules/.cache/towpath-go/', import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of Object.keys(MODULES)) {
    const { missing } = findGoProgram(name);
    if (missing !== undefined) process.stderr.write(`${missing}\n`);
  }
}

/** The path of a program, built where it is not yet; or what stands in the way. */
export function findGoProgram(name) {
  const path = join(FOLDER, name);
  if (existsSync(path)) return { path };
  const go = programPath('go') ?? '/usr/local/go/bin/go';
  if (!existsSync(go)) return { missing: `${name} is left out: there is no Go on this machine to build it with.` };
  mkdirSync(FOLDER, { recursive: true });
  process.stderr.write(`building ${MODULES[name]}; this takes a minute, once\n`);
  const env = { ...process.env, GOBIN: FOLDER, CGO_ENABLED: '0' };
  const { status, stderr } = spawnSync(go, ['install', MODULES[name]], { env, encoding: 'utf8' });
  if (status === 0) return { path };
  return { missing: `${name} is left out: Go could not build ${MODULES[name]}: ${(stderr ?? '').trim().slice(-500)}` };
}
