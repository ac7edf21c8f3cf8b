import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { distributionOf } from './distribution.ts';
import { installedIn, saysWhatIsInstalled } from './installed.ts';
import { purlOf } from './package.ts';

const BOOKWORM = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n';

test('packages of Node are those that lie in node_modules, wherever that is', () => {
  expect(
    found({
      'app/node_modules/lodash/package.json': '{"name":"lodash","version":"4.17.20"}',
      'app/node_modules/@types/node/package.json': '{"name":"@types/node","version":"20.1.0"}',
      'app/node_modules/a/node_modules/lodash/package.json': '{"name":"lodash","version":"3.0.0"}',
      'app/node_modules/.pnpm/b@1.0.0/node_modules/b/package.json': '{"name":"b","version":"1.0.0"}',
      'app/node_modules/alias/package.json': '{"name":"real","version":"2.0.0"}',
      'app/node_modules/c/esm/package.json': '{"type":"module"}',
      'app/node_modules/d/package.json': '{"type":"module"}',
      'app/node_modules/e/package.json': 'broken',
      'app/package.json': '{"name":"app","version":"1.0.0"}',
    }),
  ).toEqual([
    'pkg:npm/lodash@4.17.20',
    'pkg:npm/%40types/node@20.1.0',
    'pkg:npm/lodash@3.0.0',
    'pkg:npm/b@1.0.0',
    'pkg:npm/real@2.0.0',
  ]);
});

test('a lock file counts where nothing is installed beside it, without what is for development', () => {
  const lock = readFileSync(
    new URL('../../../../../fixtures/npm-lock/express-pg/package-lock.json', import.meta.url),
    'utf8',
  );
  const packages = found({ 'app/package-lock.json': lock });
  expect(packages).toContain('pkg:npm/express@4.22.3');
  expect(
    found({ 'app/package-lock.json': lock, 'app/node_modules/a/package.json': '{"name":"a","version":"1.0.0"}' }),
  ).toEqual(['pkg:npm/a@1.0.0']);
  expect(installedIn(filesOf({ 'app/package-lock.json': '{' })).unreadable).toEqual(['app/package-lock.json']);
  expect(installedIn(filesOf({ 'app/package-lock.json': '{"lockfileVersion":1}' })).unreadable).toHaveLength(1);
});

test('packages of Debian are known by their source, removed ones are not there', () => {
  const status = `Package: libssl3
Status: install ok installed
Source: openssl
Version: 3.0.11-1~deb12u2
Description: Secure Sockets Layer
 with a second line

Package: libgcc-s1
Status: install ok installed
Source: gcc-12 (12.2.0-14)
Version: 12.2.0-14+b1

Package: old
Status: deinstall ok config-files
Version: 1.0-1
`;
  const files = { 'usr/lib/os-release': BOOKWORM, 'var/lib/dpkg/status': status };
  expect(installedIn(filesOf(files)).packages).toMatchObject([
    { ecosystem: 'Debian:12', name: 'openssl', called: 'libssl3', version: '3.0.11-1~deb12u2' },
    { ecosystem: 'Debian:12', name: 'gcc-12', called: 'libgcc-s1', version: '12.2.0-14' },
  ]);
  expect(found(files)[0]).toBe('pkg:deb/debian/libssl3@3.0.11-1~deb12u2?distro=debian-12&upstream=openssl');
  const distroless = {
    'etc/os-release': BOOKWORM,
    'var/lib/dpkg/status.d/tzdata': 'Package: tzdata\nVersion: 2024a-0+deb12u1\n',
  };
  expect(found({ ...distroless, 'var/lib/dpkg/status.d/tzdata.md5sums': 'd41d8 usr/share/x' })).toEqual([
    'pkg:deb/debian/tzdata@2024a-0%2Bdeb12u1?distro=debian-12',
  ]);
  expect(installedIn(filesOf({ 'var/lib/dpkg/status': 'Package: cut' })).unreadable).toEqual(['var/lib/dpkg/status']);
});

test('packages of Alpine are known by their origin', () => {
  const installed =
    'C:Q1abc=\nP:libcrypto3\nV:3.1.4-r0\nA:x86_64\no:openssl\nF:lib\nR:libcrypto.so.3\n\nP:musl\nV:1.2.4-r2\no:musl\n\n';
  const release = 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.18.4\n';
  for (const path of ['lib/apk/db/installed', 'usr/lib/apk/db/installed'])
    expect(found({ 'etc/os-release': release, [path]: installed })).toEqual([
      'pkg:apk/alpine/libcrypto3@3.1.4-r0?distro=alpine-3.18&upstream=openssl',
      'pkg:apk/alpine/musl@1.2.4-r2?distro=alpine-3.18',
    ]);
});

test('packages of Python are those with metadata', () => {
  expect(
    found({
      'usr/lib/python3/site-packages/Jinja2-3.1.2.dist-info/METADATA':
        'Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.2\nSummary: x\n\nName: not this\n',
      'opt/venv/lib/zope.interface.egg-info/PKG-INFO': 'Metadata-Version: 1.0\nName: zope.interface\nVersion: 5.0\n',
    }),
  ).toEqual(['pkg:pypi/jinja2@3.1.2', 'pkg:pypi/zope-interface@5.0']);
});

test.each([
  [BOOKWORM, 'Debian:12'],
  ['ID=debian\n', 'Debian'],
  ['ID=ubuntu\nVERSION_ID="24.04"\nVERSION="24.04.1 LTS (Noble Numbat)"\n', 'Ubuntu:24.04:LTS'],
  ['ID=ubuntu\nVERSION_ID="24.10"\n', 'Ubuntu:24.10'],
  ["ID='alpine'\nVERSION_ID=3.20.0_alpha2\n", 'Alpine:v3.20'],
  ['ID=wolfi\n', 'Wolfi'],
  ['ID=slackware\nVERSION_ID=15.0\n', 'slackware 15.0'],
  [undefined, 'an unnamed Linux'],
])('a distribution is called as advisories call it: %s', (release, name) => {
  expect(distributionOf(release)).toBe(name);
});

function found(files: Readonly<Record<string, string>>): string[] {
  const { packages, unreadable } = installedIn(filesOf(files));
  expect(unreadable).toEqual([]);
  return packages.map(purlOf);
}

function filesOf(files: Readonly<Record<string, string>>): Map<string, Buffer> {
  const wanted = Object.entries(files).filter(([path]) => saysWhatIsInstalled(path));
  return new Map(wanted.map(([path, text]) => [path, Buffer.from(text)]));
}
