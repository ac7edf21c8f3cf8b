// Real programs that the tests run against and that come as crates: built with Cargo at these versions, once. Plain
// JavaScript, as go-programs.js. Without Cargo it says so, and only what needs them is left out.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { programPath } from './packages.js';

/** `s3s-fs`: S3 on a folder, with signatures, checksums and preconditions. */
const CRATES = {
  's3s-fs': ['s3s-fs@0.14.1', '--features', 'binary'],
};

const FOLDER = fileURLToPath(new URL('../node_modules/.cache/towpath-rust/', import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of Object.keys(CRATES)) {
    const { missing } = findRustProgram(name, { build: true });
    if (missing !== undefined) process.stderr.write(`${missing}\n`);
  }
}

/** The path of a program; or what stands in the way. A test does not wait for Cargo: `make machine` builds it before. */
export function findRustProgram(name, { build = false } = {}) {
  const path = join(FOLDER, 'bin', name);
  if (existsSync(path)) return { path };
  if (!build) return { missing: `${name} is left out: it is not built. \`make machine\` does it, once.` };
  const [crate, ...features] = CRATES[name];
  const cargo = programPath('cargo') ?? join(homedir(), '.cargo', 'bin', 'cargo');
  if (!existsSync(cargo))
    return { missing: `${name} is left out: there is no Cargo on this machine to build it with.` };
  process.stderr.write(`building ${crate}; this takes a minute or two, once\n`);
  // unoptimised: the tests send it a few megabytes
  const argv = ['install', crate, ...features, '--locked', '--debug', '--root', FOLDER, '--no-track'];
  const { status, stderr } = spawnSync(cargo, argv, { encoding: 'utf8' });
  if (status === 0) return { path };
  return { missing: `${name} is left out: Cargo could not build ${crate}: ${(stderr ?? '').trim().slice(-500)}` };
}
