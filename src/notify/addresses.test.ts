import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../lib/testing/cases.ts';
import { addressesFor } from './addresses.ts';
import { broke } from './testing/messages.ts';

const people = {
  users: { ada: ['Ada L.', 'ada@shop.test', 'ada@home.test'], olga: ['olga@shop.test'], bo: ['Bo'] },
  roles: { managers: ['olga', 'max@shop.test', 'bo'] },
};

function by(...authors: [string, string][]) {
  const newest = authors.map(([name, email], at) => ({ sha: `${at}`, subject: '', author: { name, email } }));
  return { ...broke, commits: { since: null, newest, more: 0 } };
}

test('authors are written to as the users that they are: by the address they commit with, else their first', () => {
  const message = by(
    ['x', 'ADA@home.test'],
    ['Ada L.', 'somebody@elsewhere.test'],
    ['y', 'olga@shop.test'],
    ['Bo', ''],
  );
  expect(addressesFor({ to: ['authors'], strangers: false }, message, people)).toEqual([
    'ada@home.test',
    'ada@shop.test',
    'olga@shop.test',
  ]);
});

test('an author whom no user is known for is written to only where the project wants it, and never for a fork', () => {
  const message = by(['Eve', 'eve@elsewhere.test'], ['bot', '1+bot@users.noreply.github.com'], ['z', 'root@localhost']);
  const to = ['authors'];
  expect(addressesFor({ to, strangers: false }, message, people)).toEqual([]);
  expect(addressesFor({ to, strangers: true }, message, people)).toEqual(['eve@elsewhere.test']);
  const fork = { ...message, place: { ...message.place, ofStrangers: true } };
  expect(addressesFor({ to, strangers: true }, fork, people)).toEqual([]);
});

test('roles, users and addresses are written to whatever it is about, each once; approvers when they are asked', () => {
  const to = ['authors', 'approvers', 'constructor', 'managers', 'olga', 'ops@shop.test', 'OPS@shop.test'];
  const found = ['olga@shop.test', 'max@shop.test', 'OPS@shop.test'];
  expect(addressesFor({ to, strangers: true }, by(), people)).toEqual(found);
  const asked = { ...by(['Ada L.', '']), topic: 'approval' as const, approvers: ['ada'] };
  expect(addressesFor({ to, strangers: true }, asked, people)).toEqual(['ada@shop.test', ...found]);
});

test('whatever git says of authors, only addresses that the project has are written to', () => {
  const known = new Set(Object.values(people.users).flat());
  const identity = fc.tuple(
    fc.oneof(fc.string(), fc.constantFrom('Ada L.', 'olga', 'bo', 'constructor')),
    fc.oneof(fc.string(), fc.constantFrom('eve@elsewhere.test', 'ada@shop.test', '__proto__', 'a@b\r\nbcc: c@d')),
  );
  fc.assert(
    fc.property(fc.array(identity, { maxLength: 4 }), (authors) => {
      for (const address of addressesFor({ to: ['authors'], strangers: false }, by(...authors), people))
        expect(known).toContain(address);
      for (const address of addressesFor({ to: ['authors'], strangers: true }, by(...authors), people))
        expect(address).toMatch(/^[^\s<>,]+@[^\s<>,]+$/);
    }),
    cases(30),
  );
});
