import fc from 'fast-check';
import { expect, test } from 'vitest';

import { hasCode } from '../lib/error.ts';
import { parseCommit } from './commit.ts';
import { parseTree, parseTreeListing } from './parse-tree.ts';
import { decodePackets, encodeRequest } from './pkt-line.ts';

const anyEntry = fc.record({
  mode: fc.constantFrom('100644', '100755', '120000', '160000', '040000'),
  oid: fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('hex')),
  name: fc.uint8Array({ minLength: 1, maxLength: 30 }).map((bytes) => Buffer.from(bytes.map((byte) => byte || 1))),
});

test('every entry of a tree object is read, whatever bytes its name has', () => {
  fc.assert(
    fc.property(fc.array(anyEntry), (entries) => {
      const bytes = Buffer.concat(
        entries.flatMap(({ mode, oid, name }) => [
          Buffer.from(`${mode.replace(/^0/, '')} `),
          name,
          Buffer.from([0]),
          Buffer.from(oid, 'hex'),
        ]),
      );
      expect(parseTree(bytes, 20)).toEqual(entries);
    }),
  );
});

test('the modes of very old git mean what they mean today', () => {
  const bytes = (mode: string): Buffer => Buffer.concat([Buffer.from(`${mode} a\0`), Buffer.alloc(20)]);
  expect(parseTree(bytes('100664'), 20)).toMatchObject([{ mode: '100644' }]);
  expect(parseTree(bytes('100775'), 20)).toMatchObject([{ mode: '100755' }]);
  expect(() => parseTree(bytes('777'), 20)).toThrow('not as git writes it');
});

test.each(['../a', 'a/../b', './a', 'a//b', '.git/config', 'a/.GIT/hooks', ''])(
  'a listing with the path %j is refused',
  (path) => {
    expect(() => parseTreeListing(Buffer.from(`100644 blob ${'1'.repeat(40)}\t${path}\0`))).toThrow(
      'not as git writes it',
    );
  },
);

test('any bytes are either read or refused by name', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const read of [
        () => parseTree(Buffer.from(bytes), 20),
        () => parseTreeListing(Buffer.from(bytes)),
        () => [...decodePackets(Buffer.from(bytes))],
        () => parseCommit('1'.repeat(40), Buffer.from(bytes)),
      ]) {
        try {
          read();
        } catch (error) {
          expect(hasCode(error, 'git.tree-malformed', 'git.name-not-utf8', 'git.protocol', 'git.not-a-commit')).toBe(
            true,
          );
        }
      }
    }),
  );
});

test('a request is whole packets', () => {
  const packets = [
    ...decodePackets(Buffer.from(encodeRequest(['command=ls-refs'], ['peel', 'ref-prefix refs/\u00e4']))),
  ];
  expect(packets.map((packet) => (packet.kind === 'data' ? String(packet.bytes) : packet.kind))).toEqual([
    'command=ls-refs\n',
    'delimiter',
    'peel\n',
    'ref-prefix refs/\u00e4\n',
    'flush',
  ]);
});

test('a commit of another encoding, without a name or without a subject is read all the same', () => {
  const head = `tree ${'a'.repeat(40)}\nauthor `;
  const read = (text: string, encoding: BufferEncoding = 'utf8') =>
    parseCommit('1'.repeat(40), Buffer.from(text, encoding));
  expect(
    read(
      `${head}J\u00fcrgen <j@x> 1 +0100\ncommitter B <b@x> 1700000000 +0100\nencoding iso-8859-1\n\ngr\u00fcn\n`,
      'latin1',
    ),
  ).toMatchObject({ authorName: 'J\u00fcrgen', committedAtMs: 1_700_000_000_000, subject: 'gr\u00fcn' });
  expect(read(`${head}<> 1 +0000\ncommitter <> -5 +0000\n\n`)).toMatchObject({
    authorName: '',
    authorEmail: '',
    committedAtMs: 0,
    subject: '',
  });
  expect(
    read(
      `${head}A <a@x> 99999999999999999999 +0000\ngpgsig -----BEGIN\n tree x\n -----END\n\n\n\n\u001b[31mred\u001b[0m\n title \n\nbody`,
    ),
  ).toMatchObject({
    subject: 'red title',
  });
});
