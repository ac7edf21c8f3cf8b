import { sha256Hex } from '../lib/digest.ts';
import type { Statement } from './statement.ts';
import type { Verification } from './verify.ts';

export type VerifiedStatement = Pick<Extract<Verification, { kind: 'verified' }>, 'statement' | 'text'>;

export type Chain =
  /** In order, from the first: none is hidden before the last of them. What came after it cannot be known from them. */
  | { readonly kind: 'whole'; readonly statements: readonly Statement[] }
  /** This place is empty though a later one is not. */
  | { readonly kind: 'truncated'; readonly missing: number; readonly last: number }
  /** Two have one place, or one does not follow the one before. */
  | { readonly kind: 'broken'; readonly at: number };

/**
 * Puts the statements about one image into their order. One that was signed anew is there twice, word for word. What was
 * stated under another name, or has no place, is not of this chain, whoever signed it.
 * @param name `<project>/<service>`: another project of the installation has the same key, and may have the same image
 */
export function chainOf(verified: readonly VerifiedStatement[], name: string): Chain {
  const places = new Map<number, VerifiedStatement>();
  for (const one of verified) {
    const { link, subjects } = one.statement;
    if (link === null || subjects.length !== 1 || subjects[0]?.name !== name) continue;
    const there = places.get(link.sequence);
    if (there !== undefined && there.text !== one.text) return { kind: 'broken', at: link.sequence };
    places.set(link.sequence, one);
  }
  const statements: Statement[] = [];
  let previous: string | null = null;
  for (let at = 1; at <= places.size; at++) {
    const one = places.get(at);
    if (one === undefined) return { kind: 'truncated', missing: at, last: Math.max(...places.keys()) };
    if (one.statement.link?.previous !== previous) return { kind: 'broken', at };
    statements.push(one.statement);
    previous = sha256Hex(one.text);
  }
  return { kind: 'whole', statements };
}
