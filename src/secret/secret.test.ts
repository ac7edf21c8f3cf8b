import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';

import { redact, redactor } from './redact.ts';
import { secretsOf } from './secret.ts';
import { secretStores } from './stores.ts';

const place = mkdtempSync(join(tmpdir(), 'towpath-secret-'));
const data = join(place, 'data');
const secrets = secretsOf(secretStores({ PASSWORD: 'swordfish', EMPTY: '', TOWPATH_TOKEN: 'its own' }, data));
afterAll(() => rmSync(place, { recursive: true }));

test('a reference becomes its value at the moment of use', async () => {
  writeFileSync(join(place, 'token'), 'from a file\n');
  expect(await secrets.resolve('env:PASSWORD')).toBe('swordfish');
  expect(await secrets.resolve('env:EMPTY')).toBe('');
  expect(await secrets.resolve(`file:${join(place, 'token')}`)).toBe('from a file');
});

test('what is the server’s own is never given, whatever way leads to it', async () => {
  mkdirSync(data);
  writeFileSync(join(data, 'token'), 'of the administrator');
  symlinkSync(data, join(place, 'elsewhere'));
  const ways = [
    'env:TOWPATH_TOKEN',
    ...['data', 'other/../data', 'elsewhere'].map((way) => `file:${place}/${way}/token`),
  ];
  mkdirSync(join(place, 'other'));
  for (const way of ways) await expect(secrets.resolve(way)).rejects.toMatchObject({ code: 'secret.not-given' });
});

test('where the server names folders of secrets, no other file is given', async () => {
  mkdirSync(join(place, 'given'));
  for (const file of ['given/one', 'two']) writeFileSync(join(place, file), file);
  const few = secretsOf(secretStores({ TOWPATH_SECRET_FILES: `/not/there:${join(place, 'given')}` }, data));
  expect(await few.resolve(`file:${place}/given/one`)).toBe('given/one');
  for (const path of ['two', 'given/../two'])
    await expect(few.resolve(`file:${place}/${path}`)).rejects.toMatchObject({ code: 'secret.not-given' });
});

test.each([
  ['env:NOT_THERE', 'secret.missing'],
  ['env:constructor', 'secret.missing'],
  ['env:A B', 'secret.malformed'],
  ['file:/not/there', 'secret.missing'],
  ['file:relative', 'secret.unreadable'],
  [`file:${place}`, 'secret.unreadable'],
  ['vault:x', 'secret.unknown-store'],
])('%s is refused with %s', async (reference, code) => {
  await expect(secrets.resolve(reference)).rejects.toMatchObject({ code });
});

test('a value that was pasted where a reference belongs is not repeated in the error', async () => {
  const error: unknown = await secrets.resolve('hunter2-the-password').catch((thrown: unknown) => thrown);
  expect(JSON.stringify(error) + String(error)).not.toContain('hunter2');
});

const value = fc
  .string({ minLength: 8, maxLength: 40, unit: 'grapheme-ascii' })
  .filter((text) => text.trim() === text && text.length >= 8);
const shapes: ((text: string) => string)[] = [
  (text) => text,
  (text) => encodeURIComponent(text),
  (text) => JSON.stringify({ text }),
  (text) => Buffer.from(text).toString('hex'),
  (text) => new URLSearchParams({ text }).toString(),
];

test('a value does not show in any of its shapes, however the stream is cut', () => {
  fc.assert(
    fc.property(value, fc.constantFrom(...shapes), fc.array(fc.nat(60)), (text, shape, cuts) => {
      const shown = stream(`before ${shape(text)} after`, text, cuts);
      expect(shown).not.toContain(shape(text).replace(/^text=/, ''));
      expect(shown).toContain('[secret]');
    }),
  );
});

test('base64 hides nothing, whatever stands before and after', () => {
  fc.assert(
    fc.property(value, fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), (text, before, after) => {
      expect(redact(Buffer.from(before + text + after).toString('base64'), [text])).toContain('[secret]');
    }),
  );
});

test('text without a secret comes through whole and in order', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', 'b', ' ') }), fc.array(fc.nat(20)), (text, cuts) => {
      expect(stream(text, 'xyzzy-xyzzy', cuts)).toBe(text);
    }),
  );
});

function stream(text: string, secret: string, cuts: readonly number[]): string {
  const out = redactor([secret]);
  let shown = '';
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    shown += out.push(text.slice(from, Math.max(from, cut)));
    from = Math.max(from, cut);
  }
  return shown + out.push(text.slice(from)) + out.end();
}
