import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sha256 } from '../../lib/digest.ts';
import { cases } from '../../lib/testing/cases.ts';
import { endHashing, runningHash } from './running-hash.ts';

const LARGE = 40_000;

test('bytes in whatever pieces have the digest of the whole, also when others are hashed meanwhile', async () => {
  const piece = fc.oneof(fc.nat(3), fc.nat(2 * LARGE)).map((size) => Buffer.alloc(size, size % 251));
  const pieces = fc.array(fc.array(piece, { maxLength: 3 }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.array(pieces, { minLength: 1, maxLength: 4 }), async (contents) => {
      const whole = contents.map((parts) => Buffer.concat(parts.flat())); // a piece is gone once it was given
      const digests = contents.map(async (parts) => {
        const hash = runningHash();
        for (const part of parts) await hash.update(part);
        return `sha256:${await hash.digest()}`;
      });
      expect(await Promise.all(digests)).toEqual(whole.map(sha256));
    }),
    cases(100),
  );
});

test('what shares its memory with something else leaves that as it is', async () => {
  const shared = Buffer.alloc(3 * LARGE, 7);
  const hash = runningHash();
  await hash.update([shared.subarray(0, LARGE), shared.subarray(LARGE, 2 * LARGE)]);
  expect(shared.equals(Buffer.alloc(3 * LARGE, 7))).toBe(true);
  expect(`sha256:${await hash.digest()}`).toBe(sha256(shared.subarray(0, 2 * LARGE)));
});

test('when its thread ends a hash says that it is lost, and the next one has another thread', async () => {
  const large = () => [Buffer.alloc(LARGE)];
  for (const when of ['between', 'meanwhile'] as const) {
    const hash = runningHash();
    await hash.update(large());
    const update = when === 'meanwhile' ? hash.update(large()) : null;
    expect(await endHashing()).toBe(true);
    await update;
    await hash.update(large());
    expect(await hash.digest()).toBeNull();
  }
  expect(await endHashing()).toBe(false);
  const next = runningHash();
  await next.update(large());
  expect(`sha256:${await next.digest()}`).toBe(sha256(Buffer.alloc(LARGE)));
});
