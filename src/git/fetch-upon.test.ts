import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { hasCode } from '../lib/error.ts';
import { cases } from '../lib/testing/cases.ts';
import { fetchUpon, packIn } from './fetch-upon.ts';
import { type Forge, type ForgeRepository, startForge } from './testing/forge.ts';

let forge: Forge;
let repository: ForgeRepository;
let first: string;
let second: string;

beforeAll(async () => {
  forge = await startForge();
  repository = await forge.createRepository('manifests');
  first = await repository.commit({ files: { 'web.yaml': 'image: web:1\n' } });
  second = await repository.commit({ files: { 'notes.md': 'theirs' } });
});

afterAll(() => forge.close());

function fetched(want: string, have: string): Promise<Buffer | null> {
  return fetchUpon({ url: repository.url, allow: ['http'] }, 'sha1', { want, have });
}

test('a commit upon another comes with what it changes alone', async () => {
  const pack = await fetched(second, first);
  expect(pack?.toString('latin1', 0, 4)).toBe('PACK');
  expect(pack?.readUInt32BE(8)).toBe(3); // commit, tree, file
});

test('what the server does not have comes not at all, and is no error', async () => {
  expect(await fetched('1'.repeat(40), first)).toBeNull();
});

test('from whom the server knows nothing, all comes', async () => {
  expect((await fetched(second, '1'.repeat(40)))?.readUInt32BE(8)).toBe(6);
});

test('much is left to git', async () => {
  const large = Buffer.alloc(9 * 1024 * 1024);
  for (let at = 0, state = 1; at < large.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; // does not get smaller
    large.writeUInt32LE(state, at);
  }
  const third = await repository.commit({ files: { 'large.bin': large.toString('base64') } });
  expect(await fetched(third, second)).toBeNull();
});

test('whatever a server answers, it is a pack, or none, or no git protocol', () => {
  const packet = fc
    .uint8Array({ maxLength: 40 })
    .map((bytes) => `${(bytes.length + 4).toString(16).padStart(4, '0')}${Buffer.from(bytes).toString('latin1')}`);
  const some = fc.array(
    fc.oneof(packet, fc.constantFrom('0000', '0001', '000dpackfile\n', '0008\x01PACK', '0007\x03no')),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        some.map((all) => all.join('')),
        fc.string(),
      ),
      (text) => {
        try {
          const pack = packIn(Buffer.from(text, 'latin1'));
          expect(pack === null || pack.length > 0).toBe(true);
        } catch (error) {
          expect(hasCode(error, 'git.protocol')).toBe(true);
        }
      },
    ),
    cases(500),
  );
});
