import fc from 'fast-check';
import { expect, test } from 'vitest';

import { hasCode } from '../lib/error.ts';
import { cases } from '../lib/testing/cases.ts';
import { parseListing, readListing } from './ref-listing.ts';
import { isRefName } from './ref.ts';

const OIDS = ['1'.repeat(40), '2'.repeat(40), 'a'.repeat(64)];
const NAMES = ['refs/heads/main', 'refs/heads/Main', 'refs/heads/--upload-pack=x', 'refs/tags/v1', 'refs/pull/7/head'];
const oid = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...OIDS) },
  fc.constantFrom('--upload-pack=touch', '0', '', 'g'.repeat(40), 'A'.repeat(40)),
);
const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...NAMES, 'HEAD') },
  fc.constantFrom('refs/heads/a..b', 'refs/heads/\u001b[31m', 'refs/heads/../../x', 'refs/heads/x\0y', 'refs/heads/-'),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => `refs/heads/${text}`),
);
const attribute = fc.oneof(
  oid.map((peeled) => `peeled:${peeled}`),
  name.map((target) => `symref-target:${target}`),
  fc.string({ maxLength: 10 }),
);
const line = fc
  .tuple(oid, name, fc.array(attribute, { maxLength: 2 }))
  .map(([id, ref, more]) => Buffer.from([id, ref, ...more].join(' ')));
const packet = fc.oneof(
  { weight: 20, arbitrary: line.map(framed) },
  fc.uint8Array({ maxLength: 20 }).map((bytes) => framed(Buffer.from(bytes))),
  fc.constantFrom('0000', '0001', '0002', '0003', '0004', 'ffff', 'zzzz').map((text) => Buffer.from(text)),
);
/** An answer as a server gives it, perhaps with what none gives, perhaps cut off. */
const answer = fc
  .tuple(fc.array(packet, { maxLength: 12 }), fc.boolean(), fc.option(fc.nat({ max: 60 }), { freq: 4 }))
  .map(([packets, isEnded, cut]) => {
    const whole = Buffer.concat([...packets, ...(isEnded ? [Buffer.from('0000')] : [])]);
    return cut === null ? whole : whole.subarray(0, Math.max(0, whole.length - cut));
  });

test('whatever a server lists is refs that git would take, each once and with its commit, or is refused by name', () => {
  fc.assert(
    fc.property(answer, fc.constantFrom(undefined, 'refs/pull/'), (body, pulls) => {
      try {
        const text = readListing(body);
        if (text === undefined) return;
        const { refs, defaultBranch } = parseListing(text, { pulls, maxRefs: 8 });
        for (const ref of refs) {
          expect(isRefName(ref.name) || (pulls !== undefined && ref.name.startsWith(pulls))).toBe(true);
          for (const id of [ref.oid, ref.commit]) expect(id).toMatch(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
        }
        expect(new Set(refs.map((ref) => ref.name)).size).toBe(refs.length);
        if (defaultBranch !== null) expect(refs.map((ref) => ref.name)).toContain(defaultBranch);
      } catch (error) {
        if (!hasCode(error, 'git.protocol', 'git.too-many-refs')) throw error;
      }
    }),
    cases(500),
  );
});

test.each([
  ['a commit that is an option', listing(`${OIDS[0]} refs/tags/v1 peeled:--upload-pack=touch`)],
  ['a branch twice', listing(`${OIDS[0]} refs/heads/main`, `${OIDS[1]} refs/heads/main`)],
  ['something after the end', Buffer.concat([listing(), listing()])],
  ['an end in the middle', Buffer.concat([Buffer.from('0000'), listing(`${OIDS[0]} refs/heads/main`)])],
  ['ends and nothing else, without end', Buffer.alloc(64 * 1024 * 1024, '0000')],
  ['empty packets without end', Buffer.alloc(64 * 1024 * 1024, '0004')],
])('%s is no listing', (_, body) => {
  expect(() => parseListing(readListing(body) ?? '', {})).toThrow(expect.objectContaining({ code: 'git.protocol' }));
});

test('branches whose names are not UTF-8 are left out, and all others are listed', () => {
  const odd = [0xfe, 0xff].map((byte) =>
    framed(Buffer.concat([Buffer.from(`${OIDS[0]} refs/heads/`), Buffer.from([byte])])),
  );
  const text = readListing(Buffer.concat([...odd, listing(`${OIDS[0]} refs/heads/\u00e4`)])) ?? '';
  expect(parseListing(text, {}).refs.map((ref) => ref.name)).toEqual(['refs/heads/\u00e4']);
});

function listing(...lines: string[]): Buffer {
  return Buffer.concat([...lines.map((text) => framed(Buffer.from(text))), Buffer.from('0000')]);
}

function framed(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes]);
}
