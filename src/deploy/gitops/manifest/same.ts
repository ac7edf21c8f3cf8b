import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node } from 'yaml';

import { isKey } from './locate.ts';

/** The one difference that there may be: at the end of the trail a scalar is this text, or its map has one pair more. */
export type Difference = { readonly document: number; readonly trail: readonly number[] } & (
  | { readonly kind: 'set'; readonly value: string }
  | { readonly kind: 'insert'; readonly at: number; readonly key: string; readonly value: string }
);

/** Whether two readings of a file differ in that and in nothing else: values, their types, anchors, aliases, tags, order. */
export function differOnlyIn(
  before: readonly Document.Parsed[],
  after: readonly Document.Parsed[],
  difference: Difference,
): boolean {
  return (
    before.length === after.length &&
    before.every((document, index) =>
      isSame(
        document.contents,
        after[index]?.contents ?? null,
        index === difference.document ? difference.trail : null,
        difference,
      ),
    )
  );
}

function isSame(before: unknown, after: unknown, trail: readonly number[] | null, difference: Difference): boolean {
  if (before === after && trail === null) return true;
  if (!isNode(before) || !isNode(after) || !haveSameProperties(before, after)) return false;
  if (trail?.length === 0) return isChanged(before, after, difference);
  const [first, ...rest] = trail ?? [];
  const trailAt = (index: number): readonly number[] | null => (index === first ? rest : null);
  if (isMap(before) && isMap(after)) {
    const ends = before.items.length === after.items.length;
    return (
      ends && before.items.every((pair, index) => isSamePair(pair, after.items[index], trailAt(index), difference))
    );
  }
  if (isSeq(before) && isSeq(after)) {
    const ends = before.items.length === after.items.length;
    return ends && before.items.every((item, index) => isSame(item, after.items[index], trailAt(index), difference));
  }
  if (trail !== null) return false;
  if (isAlias(before) && isAlias(after)) return before.source === after.source;
  return isScalar(before) && isScalar(after) && before.source === after.source && typeOf(before) === typeOf(after);
}

interface PairLike {
  readonly key: unknown;
  readonly value: unknown;
}

function isSamePair(
  before: PairLike,
  after: PairLike | undefined,
  trail: readonly number[] | null,
  difference: Difference,
): boolean {
  return (
    after !== undefined &&
    isSame(before.key, after.key, null, difference) &&
    isSame(before.value, after.value, trail, difference)
  );
}

function isChanged(before: Node, after: Node, difference: Difference): boolean {
  if (difference.kind === 'set') return isScalar(after) && after.value === difference.value;
  if (!isMap(before) || !isMap(after) || after.items.length !== before.items.length + 1) return false;
  const { at, key, value } = difference;
  const added = after.items[at];
  return (
    isKey(added?.key, key) &&
    isScalar(added?.value) &&
    added.value.value === value &&
    before.items.every((pair, index) => isSamePair(pair, after.items[index < at ? index : index + 1], null, difference))
  );
}

function haveSameProperties(one: Node, other: Node): boolean {
  return one.tag === other.tag && anchorOf(one) === anchorOf(other);
}

function anchorOf(node: Node): string | undefined {
  return 'anchor' in node ? node.anchor : undefined;
}

function typeOf({ value }: { readonly value: unknown }): string {
  return value === null ? 'null' : value instanceof Date ? 'date' : typeof value;
}
