import { expect, test } from 'vitest';

import { sha256 } from '../lib/digest.ts';
import { formatReference, parseReference } from './reference.ts';

test('a reference is read the way docker reads it', () => {
  const digest = sha256('x');
  expect(parseReference('node')).toEqual({ host: 'docker.io', repository: 'library/node', tag: null, digest: null });
  expect(parseReference('towpath/base:1')).toMatchObject({ host: 'docker.io', repository: 'towpath/base', tag: '1' });
  expect(parseReference('localhost/a')).toMatchObject({ host: 'localhost', repository: 'a' });
  expect(parseReference('127.0.0.1:5000/a/b:v1')).toMatchObject({
    host: '127.0.0.1:5000',
    repository: 'a/b',
    tag: 'v1',
  });
  expect(parseReference(`[::1]:5000/a@${digest}`)).toMatchObject({ host: '[::1]:5000', repository: 'a', digest });
  expect(parseReference(`registry:5000/a:v1@${digest}`)).toMatchObject({ host: 'registry:5000', tag: 'v1', digest });
});

test('its full form is read as the same', () => {
  for (const text of ['node', 'node:22', 'r.test/a/b', `r.test/a@${sha256('x')}`, `r.test:1/a:t@${sha256('x')}`]) {
    const once = formatReference(parseReference(text));
    expect(formatReference(parseReference(once))).toBe(once);
  }
  expect(formatReference(parseReference('node'))).toBe('docker.io/library/node:latest');
});

test('what is no reference is refused', () => {
  for (const text of [
    '',
    ':',
    'UPPER',
    'a@b',
    'a@sha256:1',
    'a:b:c',
    '../a',
    '-a',
    'r.test/',
    `a@${sha256('x')}@x`,
    'a b',
    '--x',
  ]) {
    expect(() => parseReference(text)).toThrow(/not a reference/);
  }
});
