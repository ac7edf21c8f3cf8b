import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { hasCode } from '../../../lib/error.ts';
import { cases } from '../../../lib/testing/cases.ts';
import { tarHeader, tarPadding } from '../../oci/tar-writer.ts';
import { parseLockfile, parsePackageJson } from './lockfile.ts';
import { modulesItems, NeedsNpm, refuseFilesAsFolders } from './modules-layer.ts';
import { planModules } from './modules-plan.ts';
import { authorizationFor, parseNpmrc, tarballUrl, withProjectConfig } from './npm-config.ts';

const fixtures = new URL('../../../../fixtures/npm-lock/', import.meta.url);
const locks = readdirSync(fixtures, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => readFileSync(new URL(`${name}/package-lock.json`, fixtures), 'utf8'));
const target = { os: 'linux', cpu: 'x64', libc: 'glibc', nodeVersion: '22.1.0', npmVersion: '10.9.9' };
const npm = { registry: 'https://npm.example/', scopes: {}, authorizations: { '//npm.example/': 'Bearer canary' } };

const WORDS = [
  '../../../etc/passwd',
  'node_modules/../../x',
  'node_modules/a',
  'node_modules/.bin',
  'node_modules/a/../../../../x',
  '/etc/passwd',
  'C:\\x',
  '__proto__',
  'http://user:secret@169.254.169.254/latest',
  'file:///etc/passwd',
  'git+ssh://-oProxyCommand=x/y',
  'sha512-',
  'sha512-====',
  'a\0b',
  '',
];
const word = fc.oneof(fc.constantFrom(...WORDS), fc.string({ unit: 'binary', maxLength: 30 }));
const value = fc.oneof(word, fc.jsonValue({ maxDepth: 2 }), fc.record({ bin: fc.dictionary(word, word) }));

/** A real lock file with some of its values and keys made others. */
const changedLock = fc
  .tuple(
    fc.constantFrom(...locks),
    fc.array(fc.tuple(fc.nat(), value, fc.option(word)), { minLength: 1, maxLength: 6 }),
  )
  .map(([text, changes]) => {
    const lock = JSON.parse(text) as Record<string, unknown>;
    for (const [at, put, key] of changes) change(lock, at, put, key);
    return JSON.stringify(lock);
  });
const anyNpmrc = fc.array(
  fc.tuple(fc.constantFrom('registry', '@a:registry', '//npm.example/:_authToken', '//x/:_auth', 'x'), word),
);

test('whatever a lock file and an .npmrc say, the layer lies below node_modules, or it is refused by name', async () => {
  const tarball = tgz({
    'package/a.js': '#!x\r\n',
    'package/../../../up': 'x',
    'package/bin/b': 'x',
    '/etc/passwd': 'x',
  });
  await fc.assert(
    fc.asyncProperty(changedLock, anyNpmrc, async (text, lines) => {
      try {
        const lock = parseLockfile(text);
        const npmrc = parseNpmrc(lines.map(([key, held]) => `${key}=${held}`).join('\n'));
        const packageJson = parsePackageJson(JSON.stringify(lock.root));
        const plan = planModules({ packageJson, lock, npmrc, target, dependencies: 'all', installScripts: 'ignore' });
        if (plan.kind === 'none') return;
        const config = withProjectConfig(npm, npmrc);
        for (const pkg of plan.packages) {
          const url = tarballUrl(config, pkg);
          expect(authorizationFor(config, url) === undefined || new URL(url).host === 'npm.example').toBe(true);
        }
        const options = { tarball: async () => tarball, prefix: 'app', runsScripts: false };
        const items = await modulesItems(plan.packages, options);
        refuseFilesAsFolders(items);
        for (const item of items) {
          expect(posix.normalize(item.path)).toBe(item.path);
          expect(item.path).toMatch(/^app\/node_modules\/[^\0]+$/);
          if (item.kind === 'symlink')
            expect(posix.join(posix.dirname(item.path), item.target)).toMatch(/^app\/node_modules\//);
        }
      } catch (error) {
        if (!(error instanceof NeedsNpm) && !hasCode(error)) throw error;
      }
    }),
    cases(150),
  );
});

test.each([
  ['no gzip', Buffer.from('no gzip at all')],
  ['a gzip of no archive', gzipSync(Buffer.alloc(2_000, 7))],
  ['a gzip that is cut off', gzipSync(Buffer.alloc(200_000, 7)).subarray(0, 100)],
])('a package that is %s is told as such', async (_, bytes) => {
  const pkg = { location: 'node_modules/a', name: 'a', version: '1.0.0', integrity: 'sha512-x', bin: {} };
  const work = modulesItems([pkg], { tarball: async () => bytes, prefix: 'app', runsScripts: false });
  await expect(work).rejects.toMatchObject({
    code: 'artifact.archive-broken',
    what: expect.stringContaining('a@1.0.0') as string,
  });
});

/** Puts a value, or a key, at the place that is the `at`th of the JSON, counted round and round. */
function change(json: unknown, at: number, put: unknown, key: string | null): void {
  const places: [Record<string, unknown>, string][] = [];
  const walk = (held: unknown): void => {
    if (typeof held !== 'object' || held === null) return;
    for (const name of Object.keys(held)) {
      places.push([held as Record<string, unknown>, name]);
      walk((held as Record<string, unknown>)[name]);
    }
  };
  walk(json);
  const [holder, name] = places[at % places.length] ?? [];
  if (holder === undefined || name === undefined) return;
  if (key === null) holder[name] = put;
  else {
    Object.defineProperty(holder, key, { value: holder[name], enumerable: true, configurable: true, writable: true });
    delete holder[name];
  }
}

function tgz(files: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(files).flatMap(([path, text]) => {
    const body = Buffer.from(text);
    return [tarHeader({ kind: 'file', path, executable: false, size: body.length }), body, tarPadding(body.length)];
  });
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(1024)]));
}
