import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { writeLayer } from '../../oci/layer.ts';
import type { LayerItem } from '../../oci/layer.ts';
import { baseLock } from './base/base-lock.ts';
import { installedItems } from './installed.ts';
import { parseLockfile, parsePackageJson } from './lockfile.ts';
import { modulesItems } from './modules-layer.ts';
import { planModules } from './modules-plan.ts';
import { readNpmConfig } from './npm-config.ts';
import { packageFiles } from './package-files.ts';
import { createTarballs } from './tarballs.ts';

/** The judge of the direct layer: npm itself, at the version that it copies, on real lock files. */
const run = promisify(execFile);
const unzip = promisify(gunzip);
const kept = join(process.cwd(), 'node_modules/.cache/towpath-node-builder');
const tarball = createTarballs(join(kept, 'npm'));
const config = readNpmConfig(process.env);
const signal = new AbortController().signal;

let folder = '';
let npmCli = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-oracle-'));
  npmCli = join(folder, 'npm/bin/npm-cli.js');
  for (const [path, { body }] of packageFiles(await unzip(await tarball(baseLock.npm, config, signal)))) {
    await mkdir(dirname(join(folder, 'npm', path)), { recursive: true });
    await writeFile(join(folder, 'npm', path), body);
  }
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test.each([
  { set: 'express-pg', resolved: false, dependencies: 'all' },
  { set: 'express-pg', resolved: true, dependencies: 'all' },
  { set: 'jest-eslint', resolved: true, dependencies: 'all' },
  { set: 'jest-eslint', resolved: true, dependencies: 'production' },
  { set: 'native', resolved: true, dependencies: 'all' },
  { set: 'bundled', resolved: true, dependencies: 'all' },
  { set: 'front', resolved: false, dependencies: 'all' },
] as const)(
  'the layer of $set (resolved: $resolved, $dependencies) is what npm ci --ignore-scripts installs',
  async ({ set, resolved, dependencies }) => {
    const packageText = await readFile(`fixtures/npm-lock/${set}/package.json`, 'utf8');
    const plain = await readFile(`fixtures/npm-lock/${set}/package-lock.json`, 'utf8');
    const lockText = resolved ? withResolved(plain) : plain;
    const plan = planModules({
      packageJson: parsePackageJson(packageText),
      lock: parseLockfile(lockText),
      npmrc: {},
      target: {
        os: process.platform,
        cpu: process.arch,
        libc: 'glibc',
        nodeVersion: process.versions.node,
        npmVersion: baseLock.npm.version,
      },
      dependencies,
      installScripts: 'ignore',
    });
    if (plan.kind !== 'direct') throw new Error(`The plan is ${JSON.stringify(plan)}.`);
    const direct = await modulesItems(plan.packages, {
      tarball: (pkg) => tarball({ ...pkg, integrity: pkg.integrity ?? '' }, config, signal),
      prefix: 'app',
      runsScripts: false,
    });
    const installed = await byNpm(packageText, lockText, dependencies === 'production' ? ['--omit=dev'] : []);
    expect(shapeOf(direct)).toEqual(shapeOf(installed));
    expect(await diffIdOf(direct)).toBe(await diffIdOf(installed));
  },
  300_000,
);

async function byNpm(packageText: string, lockText: string, args: readonly string[]): Promise<LayerItem[]> {
  const place = await mkdtemp(join(folder, 'app-'));
  await writeFile(join(place, 'package.json'), packageText);
  await writeFile(join(place, 'package-lock.json'), lockText);
  const cache = ['--cache', join(kept, 'npm-ci'), '--prefer-offline', '--no-audit', '--no-fund'];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  await run(process.execPath, [npmCli, 'ci', '--ignore-scripts', ...cache, ...args], { cwd: place, env });
  return installedItems(place, 'app');
}

/** As a lock file is that npm writes by default; ours are kept without addresses. */
function withResolved(text: string): string {
  const lock = JSON.parse(text) as { packages: Record<string, { name?: string; version: string; inBundle?: boolean }> };
  for (const [location, entry] of Object.entries(lock.packages)) {
    if (location === '' || entry.inBundle === true) continue;
    const name = entry.name ?? location.slice(location.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const bare = name.slice(name.indexOf('/') + 1);
    Object.assign(entry, { resolved: `https://registry.npmjs.org/${name}/-/${bare}-${entry.version}.tgz` });
  }
  return JSON.stringify(lock);
}

/** Paths, kinds, modes and targets: where two layers differ, this says it better than a hash. */
function shapeOf(items: readonly LayerItem[]): string[] {
  return items
    .filter(({ kind }) => kind !== 'folder')
    .map((item) => {
      if (item.kind === 'symlink') return `${item.path} -> ${item.target}`;
      return `${item.path}${item.kind === 'file' && item.executable ? '*' : ''}`;
    })
    .sort();
}

async function diffIdOf(items: readonly LayerItem[]): Promise<string> {
  const file = join(folder, `layer-${Math.random().toString(36).slice(2)}`);
  return (await writeLayer(items, file, signal)).diffId;
}
