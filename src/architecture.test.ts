import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

/** The way of a commit. A folder may import from itself and from any folder above it, never below. */
const ORDER = [
  'lib',
  'store',
  'git',
  'container',
  'secret',
  'audit',
  'access',
  'source',
  'artifact',
  'registry',
  'attestation',
  'check',
  'release',
  'environment',
  'path',
  'deploy',
  'notify',
  'metrics',
  'config',
  'flow',
  'http',
  'cli',
];

/** Folders whose files may touch the world: the disk, the network, other programs. */
const WORLDLY = new Set(['lib', 'store', 'git', 'container', 'flow', 'http', 'cli']);

/** Modules of Node through which a file touches the world. */
const WORLD = /^node:(fs|fs\/promises|net|http|https|http2|tls|dgram|dns|child_process|worker_threads|cluster)$/;

const src = dirname(fileURLToPath(import.meta.url));
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({
    file,
    folder: file.includes('/') ? file.slice(0, file.indexOf('/')) : '',
    imports: importsOf(file),
  }));
const code = files.filter(({ file }) => !isTest(file));

test('every folder has its place in the way of a commit', () => {
  expect(
    [...new Set(files.map(({ folder }) => folder))].filter((folder) => folder !== '' && !ORDER.includes(folder)),
  ).toEqual([]);
});

test('a folder imports only from itself and from folders above it', () => {
  const upward = code.flatMap(({ file, folder, imports }) =>
    imports
      .filter((target) => target.startsWith('.'))
      .map((target) => relative(src, join(src, dirname(file), target)))
      .filter((target) => folder !== '' && rank(target) > ORDER.indexOf(folder))
      .map((target) => `${file} imports ${target}`),
  );
  expect(upward).toEqual([]);
});

test('imports name the defining file, with its ending', () => {
  const vague = files.flatMap(({ file, imports }) =>
    imports
      .filter((target) => target.startsWith('.') && !/\.(ts|m?js|json)$/.test(target))
      .map((target) => `${file}: ${target}`),
  );
  expect(vague).toEqual([]);
});

test('pure files stay pure: only plug-in folders, stores and the edges touch the world', () => {
  const worldly = code.flatMap(({ file, folder, imports }) =>
    mayTouchTheWorld(file, folder)
      ? []
      : imports.filter((target) => WORLD.test(target)).map((target) => `${file} imports ${target}`),
  );
  expect(worldly).toEqual([]);
});

test('only flow knows the durable engine', () => {
  const knowing = code.filter(
    ({ folder, imports }) => folder !== 'flow' && imports.some((target) => target.startsWith('@dbos-inc/')),
  );
  expect(knowing.map(({ file }) => file)).toEqual([]);
});

test('SQL is spoken only in stores', () => {
  const speaking = code.filter(
    ({ file, folder, imports }) =>
      imports.some((target) => target === 'kysely' || target === 'pg') &&
      folder !== 'store' &&
      folder !== 'flow' &&
      !file.endsWith('-store.ts'),
  );
  expect(speaking.map(({ file }) => file)).toEqual([]);
});

test('what a request does happens once: its use case opens no transaction but by `once`', () => {
  const again = code.filter(
    ({ file }) => file.startsWith('flow/use-cases/') && /\.transaction\(/.test(readFileSync(join(src, file), 'utf8')),
  );
  expect(again.map(({ file }) => file)).toEqual([]);
});

test('no program is started through a shell', () => {
  const shells = code.filter(({ file }) =>
    /\bshell:\s*true|\bexecSync\(|[^.\w]exec\(/.test(readFileSync(join(src, file), 'utf8')),
  );
  expect(shells.map(({ file }) => file)).toEqual([]);
});

function mayTouchTheWorld(file: string, folder: string): boolean {
  const depth = file.split('/').length;
  return folder === '' || WORLDLY.has(folder) || file.endsWith('-store.ts') || depth > 2; // a plug-in lives in a folder of its own
}

function isTest(file: string): boolean {
  return /\.test\.ts$|(^|\/)testing(\/|\.ts$)/.test(file);
}

function rank(target: string): number {
  const folder = target.includes('/') ? target.slice(0, target.indexOf('/')) : '';
  return folder === '' ? ORDER.length : ORDER.indexOf(folder);
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8');
  return [
    ...text.matchAll(
      /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]/gm,
    ),
  ].map(([, from, dynamic, bare]) => from ?? dynamic ?? bare ?? '');
}
