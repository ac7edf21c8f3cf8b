import { gzipSync } from 'node:zlib';

import { expect, test } from 'vitest';

import type { LayerItem } from '../../oci/layer.ts';
import { parseLockfile } from './lockfile.ts';
import { modulesItems, NeedsNpm, refuseFilesAsFolders } from './modules-layer.ts';
import { planModules } from './modules-plan.ts';
import type { ModulesQuestion, PlannedPackage } from './modules-plan.ts';
import { tarHeader, tarPadding } from '../../oci/tar-writer.ts';

const integrity = `sha512-${Buffer.alloc(64).toString('base64')}`;
const target = { os: 'linux', cpu: 'x64', libc: 'glibc', nodeVersion: '22.1.0', npmVersion: '10.9.9' };

test.each([
  ['an install script', { a: { hasInstallScript: true } }, {}],
  ['no integrity', { a: { integrity: undefined } }, {}],
  ['not from a registry', { a: { resolved: 'git+ssh://git@example.com/a.git#1' } }, {}],
  ['not from a registry', { a: { resolved: 'file:../a.tgz' } }, {}],
  ['links folders', { a: { link: true, resolved: 'packages/a' } }, {}],
  ['is not for linux', { a: { os: ['darwin'] } }, {}],
  ['version 1', {}, { lockfileVersion: 1 }],
  ['differ', {}, { packageJson: { dependencies: { other: '1' } } }],
  ['.npmrc sets "install-strategy"', {}, { npmrc: { 'install-strategy': 'nested' } }],
  ['script "postinstall"', {}, { packageJson: { dependencies: { a: '*' }, scripts: { postinstall: 'x' } } }],
])('npm is asked, for: %s', (reason, entries, more) => {
  const plan = planModules(question(entries, more));
  expect(plan).toMatchObject({ kind: 'npm' });
  expect(plan.kind === 'npm' && plan.reasons.join()).toContain(reason);
});

test('an optional package for another system is left out with what only it needs, and what needs it', () => {
  const plan = planModules(
    question(
      {
        a: { optionalDependencies: { wrapper: '1' } },
        wrapper: { optional: true, dependencies: { native: '1', shared: '1' } },
        native: { optional: true, os: ['darwin'], dependencies: { helper: '1' }, optionalDependencies: { maybe: '1' } },
        helper: { optional: true },
        maybe: { optional: true },
        shared: {},
        old: { optional: true, engines: { node: '<10' } },
        musl: { optional: true, libc: ['musl'] },
      },
      { packageJson: { dependencies: { a: '*', shared: '1' } } },
    ),
  );
  const names = plan.kind === 'direct' ? plan.packages.map(({ name }) => name) : [];
  expect(names).toEqual(['a', 'maybe', 'shared']);
});

test('a location that leaves node_modules is refused', () => {
  const hostile = JSON.stringify({ lockfileVersion: 3, packages: { 'node_modules/../../etc': { version: '1' } } });
  expect(() => parseLockfile(hostile)).toThrow('cannot be read');
});

test('commands that collide go to the first; what is linked runs, and its Windows shebang is mended', async () => {
  const items = await itemsOf({
    'node_modules/jest': { bin: { jest: 'bin/jest.js' }, files: { 'bin/jest.js': '#!/usr/bin/env node\r\nx\r\n' } },
    'node_modules/jest-cli': { bin: { jest: 'bin/jest.js' }, files: { 'bin/jest.js': 'y' } },
    'node_modules/none': { bin: { none: 'gone.js' }, files: { 'index.js': '' } },
  });
  expect(items.filter(({ kind }) => kind === 'symlink')).toEqual([
    { kind: 'symlink', path: 'app/node_modules/.bin/jest', target: '../jest/bin/jest.js' },
  ]);
  expect(await bodyOf(items, 'app/node_modules/jest/bin/jest.js')).toBe('*#!/usr/bin/env node\nx\r\n');
  expect(await bodyOf(items, 'app/node_modules/jest-cli/bin/jest.js')).toBe('y');
});

test('a hostile tarball writes nothing outside its package', async () => {
  const items = await itemsOf({
    'node_modules/evil': {
      files: { '../../../etc/passwd': 'x', './../../up': 'x', '.gitignore': 'dist', 'ok.js': 'y' },
    },
  });
  expect(items.map(({ path }) => path).sort()).toEqual([
    'app/node_modules/evil/.npmignore',
    'app/node_modules/evil/ok.js',
  ]);
});

test('a file where another package needs a folder is refused', async () => {
  const items = await itemsOf({
    'node_modules/a': { files: { node_modules: 'a file' } },
    'node_modules/a/node_modules/b': { files: { 'index.js': '' } },
  });
  expect(() => refuseFilesAsFolders(items)).toThrow('a file and a folder at once');
});

test('what npm would compile without saying so goes to npm', async () => {
  const native = { 'node_modules/n': { files: { 'binding.gyp': '{}', 'package.json': '{}' } } };
  await expect(itemsOf(native, true)).rejects.toBeInstanceOf(NeedsNpm);
  expect(await itemsOf(native)).toHaveLength(2);
});

function question(
  entries: Record<string, Record<string, unknown>>,
  more: { lockfileVersion?: number; packageJson?: object; npmrc?: Record<string, string> } = {},
): ModulesQuestion {
  const { lockfileVersion = 3, packageJson = { dependencies: { a: '*' } }, npmrc = {} } = more;
  const root = more.packageJson && 'shared' in entries ? more.packageJson : { dependencies: { a: '*' } };
  const packages = Object.fromEntries(
    Object.entries({ a: {}, ...entries }).map(([name, entry]) => [
      `node_modules/${name}`,
      { version: '1.0.0', integrity, ...entry },
    ]),
  );
  const text = JSON.stringify({ lockfileVersion, packages: { '': root, ...packages } });
  return {
    packageJson,
    lock: parseLockfile(text),
    npmrc,
    target,
    dependencies: 'all',
    installScripts: 'run',
  };
}

type Fixture = Record<string, { bin?: Record<string, string>; files: Record<string, string> }>;

async function itemsOf(packages: Fixture, runsScripts = false): Promise<LayerItem[]> {
  const planned = Object.entries(packages).map(([location, { bin = {} }]): PlannedPackage => ({
    location,
    name: location.slice(location.lastIndexOf('/') + 1),
    version: '1.0.0',
    resolved: 'https://registry.example/x.tgz',
    integrity,
    bin,
  }));
  const tarball = async ({ location }: PlannedPackage) => tarOf(packages[location]?.files ?? {});
  return modulesItems(planned, { tarball, prefix: 'app', runsScripts });
}

function tarOf(files: Record<string, string>): Buffer {
  const parts = Object.entries(files).flatMap(([path, text]) => {
    const body = Buffer.from(text);
    const header = tarHeader({ kind: 'file', path: `package/${path}`, executable: false, size: body.length });
    return [header, body, tarPadding(body.length)];
  });
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(1024)]));
}

async function bodyOf(items: readonly LayerItem[], path: string): Promise<string> {
  const item = items.find((one) => one.path === path);
  if (item?.kind !== 'file') return 'none';
  return `${item.executable ? '*' : ''}${(await item.read()).toString()}`;
}
