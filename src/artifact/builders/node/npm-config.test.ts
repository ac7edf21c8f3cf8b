import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { compareDebianVersions } from './base/debian-version.ts';
import { authorizationFor, parseNpmrc, readNpmConfig, tarballUrl, withProjectConfig } from './npm-config.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-npmrc-'));
  await writeFile(
    join(folder, 'npmrc'),
    'registry=https://npm.example/all\n@own:registry=https://own.example/\n//own.example/:_authToken=${TOKEN}\n; note\n',
  );
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const config = () =>
  readNpmConfig({ npm_config_userconfig: join(folder, 'npmrc'), npm_config_globalconfig: '/nowhere', TOKEN: 'secret' });

test('a token goes to the registry that it is for, and to no other', () => {
  expect(authorizationFor(config(), 'https://own.example/@own/a/-/a-1.0.0.tgz')).toBe('Bearer secret');
  expect(authorizationFor(config(), 'https://own.example.evil/@own/a/-/a-1.0.0.tgz')).toBeUndefined();
  expect(authorizationFor(config(), 'https://npm.example/all/a/-/a-1.0.0.tgz')).toBeUndefined();
});

test('an address of the public registry means the configured one, as with npm', () => {
  const resolved = 'https://registry.npmjs.org/a/-/a-1.0.0.tgz';
  expect(tarballUrl(config(), { name: 'a', version: '1.0.0', resolved })).toBe(
    'https://npm.example/all/a/-/a-1.0.0.tgz',
  );
  expect(tarballUrl(config(), { name: 'a', version: '1.0.0' })).toBe('https://npm.example/all/a/-/a-1.0.0.tgz');
  expect(tarballUrl(config(), { name: '@own/a', version: '1.0.0' })).toBe('https://own.example/@own/a/-/a-1.0.0.tgz');
  const other = 'https://elsewhere.example/a.tgz';
  expect(tarballUrl(config(), { name: 'a', version: '1.0.0', resolved: other })).toBe(other);
});

test("a project's own file names registries, but neither reads the environment nor brings credentials", () => {
  const settings = parseNpmrc('registry=https://project.example\n//evil.example/:_authToken=${TOKEN}\n');
  const mixed = withProjectConfig(config(), settings);
  expect(mixed.registry).toBe('https://project.example/');
  expect(authorizationFor(mixed, 'https://evil.example/a.tgz')).toBeUndefined();
  expect(settings['//evil.example/:_authToken']).toBe('${TOKEN}');
});

test('Debian versions are ordered as dpkg orders them', () => {
  const ordered = [
    '1.0~rc1-1',
    '1.0-1',
    '1.0-1+b1',
    '1.0-1+deb12u9',
    '1.0-1+deb12u10',
    '1.0.1-1',
    '1.0a-1',
    '1.10-1',
    '1:0.1-1',
  ];
  const sorted = [...ordered].reverse().sort((one, other) => compareDebianVersions(one, other));
  expect(sorted.indexOf('1.0~rc1-1')).toBe(0);
  expect(sorted.at(-1)).toBe('1:0.1-1');
  expect(compareDebianVersions('1.0-1+deb12u9', '1.0-1+deb12u10')).toBeLessThan(0);
  expect(compareDebianVersions('1.10-1', '1.9-1')).toBeGreaterThan(0);
  expect(compareDebianVersions('2.36-9+deb12u14', '2.36-9+deb12u14')).toBe(0);
});
