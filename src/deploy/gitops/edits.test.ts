import { expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { createEdits } from './edits.ts';
import type { WriteRequest } from './write-request.ts';

const PLACES = [
  { file: 'web.yaml', image: 'web.image' },
  { file: 'web.yaml', image: 'worker.image' },
] as const;

const request: WriteRequest = {
  edits: PLACES.map((place) => ({ place, image: { digest: sha256('new'), tag: null } })),
  style: 'digest',
  author: { name: 'Towpath', email: 'towpath@example.com' },
  message: 'web',
  own: null,
};

function files(more = ''): ReadonlyMap<string, Buffer> {
  return new Map([['web.yaml', Buffer.from(`web: { image: a:1 }\nworker: { image: b:1 }\n${more}`)]]);
}

test('all edits of a write are made, each upon what the one before left', () => {
  const after = createEdits().of({ key: 'one', request }, files());
  expect(after.get('web.yaml')?.toString()).toBe(
    `web: { image: "a@${sha256('new')}" }\nworker: { image: "b@${sha256('new')}" }\n`,
  );
});

test('upon the same files it is the same, upon others it is made anew', () => {
  const edits = createEdits();
  const write = { key: 'one', request };
  const first = edits.of(write, files());
  expect(edits.of(write, files())).toBe(first);
  expect(edits.of(write, files('# theirs\n')).get('web.yaml')?.toString()).toMatch(/# theirs\n$/);
  expect(edits.of({ key: 'two', request }, files())).not.toBe(first);
});

test('what cannot be edited is told each time', () => {
  const edits = createEdits();
  const others = new Map([['web.yaml', Buffer.from('web: {}\n')]]);
  for (let count = 0; count < 2; count++)
    expect(() => edits.of({ key: 'one', request }, others)).toThrow('web.yaml has no web.image');
});
