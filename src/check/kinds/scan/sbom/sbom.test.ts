import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../../../lib/testing/cases.ts';
import { type InstalledPackage, purlOf } from '../packages/package.ts';
import { packageOfPurl } from './purl.ts';
import { parseSbom } from './read.ts';
import { cycloneDxOf } from './write.ts';

const fixture = (file: string): string =>
  readFileSync(new URL(`../../../../../fixtures/sbom/${file}`, import.meta.url), 'utf8');

test.each([
  ['npm.cdx.json', ['npm lodash 4.17.20', 'npm minimist 1.2.8']],
  ['npm.spdx.json', ['npm lodash 4.17.20', 'npm minimist 1.2.8']],
  ['osv-scanner.spdx.json', ['Debian:12 glibc 2.36-9+deb12u1', 'npm ip 1.1.8', 'npm lodash 4.17.20']],
])('%s of a real tool is read', async (file, packages) => {
  const found = await parseSbom(fixture(file), file);
  expect(
    'wrong' in found ? found : found.map(({ ecosystem, name, version }) => [ecosystem, name, version].join(' ')),
  ).toEqual(packages);
});

test.each([
  [
    'pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&upstream=openssl&distro=debian-12',
    'Debian:12 openssl 3.0.11-1~deb12u2',
  ],
  [
    'pkg:deb/debian/libgcc-s1@12.2.0-14+b1?upstream=gcc-12%4012.2.0-14&distro=debian-12.5',
    'Debian:12 gcc-12 12.2.0-14',
  ],
  [
    'pkg:deb/ubuntu/pcre3@2%3A8.39-12ubuntu0.1?arch=amd64&distro=focal&source=pcre3',
    'Ubuntu:20.04:LTS pcre3 2:8.39-12ubuntu0.1',
  ],
  ['pkg:apk/alpine/libcrypto3@3.1.4-r0?arch=x86_64&origin=openssl&distro=3.18.4', 'Alpine:v3.18 openssl 3.1.4-r0'],
  ['pkg:apk/wolfi/busybox@1.36-r0', 'Wolfi busybox 1.36-r0'],
  ['pkg:npm/%40types/node@20.1.0#lib', 'npm @types/node 20.1.0'],
  ['pkg:npm/@types/node@20.1.0', 'npm @types/node 20.1.0'],
  ['pkg:npm/@types/node', null],
  ['pkg:PyPI/Zope.Interface@5.0', 'PyPI zope-interface 5.0'],
  ['pkg:golang/github.com/gogo/protobuf@v1.3.1', 'Go github.com/gogo/protobuf v1.3.1'],
  ['pkg:maven/org.apache/commons@1.0', 'maven org.apache/commons 1.0'],
  ['pkg:npm/lodash', null],
  ['pkg:npm/%zz@1.0.0', null],
  ['lodash@4.17.20', null],
])('%s', (purl, named) => {
  const found = packageOfPurl(purl, 'bom');
  expect(found === null ? null : `${found.ecosystem} ${found.name} ${found.version}`).toBe(named);
});

const anyText = fc.string({
  unit: fc.constantFrom('a', 'B', '1', '.', '-', '+', '~', '%', '&', 'ü'),
  minLength: 1,
  maxLength: 8,
});
const anyPackage: fc.Arbitrary<InstalledPackage> = fc
  .record({
    ecosystem: fc.constantFrom('npm', 'Debian:12', 'Alpine:v3.20', 'Ubuntu:24.04:LTS', 'Wolfi'),
    name: anyText,
    called: anyText,
    version: anyText,
  })
  .map(({ called, ...rest }) => ({ ...rest, called: rest.ecosystem === 'npm' ? rest.name : called, where: 'bom' }));

test('what is written is what is read', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyPackage, { minLength: 1, maxLength: 5 }), async (packages) => {
      const sorted = packages.toSorted((one, other) => (purlOf(one) < purlOf(other) ? -1 : 1));
      expect(await parseSbom(cycloneDxOf(packages), 'bom')).toEqual(sorted);
      expect(cycloneDxOf(packages.toReversed())).toBe(cycloneDxOf(packages));
    }),
    cases(100),
  );
});

test.each([
  ['no JSON', 'bom', 'is not JSON'],
  ['another thing', '{"a":1}', 'is neither CycloneDX nor SPDX, in JSON'],
  ['SPDX of a time to come', '{"spdxVersion":"SPDX-3.0","packages":[]}', 'is no SPDX 2.2 or 2.3'],
  ['an empty list', '{"bomFormat":"CycloneDX","specVersion":"1.5"}', 'names no package with a version'],
  ['components without end', nested(60), 'has components that lie too deep in each other'],
])('%s is no list of packages', async (_, text, wrong) => {
  expect(await parseSbom(text, 'bom')).toEqual({ wrong: expect.stringContaining(wrong) as string });
});

function nested(depth: number): string {
  const component = (left: number): unknown => (left === 0 ? {} : { components: [component(left - 1)] });
  return JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.5', components: [component(depth)] });
}
