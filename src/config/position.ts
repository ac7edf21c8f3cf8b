import { isAlias, isMap, isScalar, isSeq, type Document, type LineCounter, type Node, type Pair } from 'yaml';

/** Where something stands in the file; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * Finds where a path of the parsed value stands in the file: its value, or with `key` the key that names it. What is
 * not in the file (a key that is missing, a default) stands where its nearest holder is named.
 */
export function positionOf(
  document: Document,
  lines: LineCounter,
  path: readonly PropertyKey[],
  at: 'value' | 'key' = 'value',
): Position {
  let node: unknown = document.contents;
  let offset = offsetOf(node) ?? 0;
  for (const [index, segment] of path.entries()) {
    const resolved = isAlias(node) ? node.resolve(document) : node;
    if (isSeq(resolved)) {
      node = resolved.items[Number(segment)];
      if (node === undefined) break;
      offset = offsetOf(node) ?? offset;
    } else if (isMap(resolved)) {
      const pair = resolved.items.find((pair) => keyOf(pair) === String(segment));
      if (pair === undefined) break;
      node = pair.value;
      // a mapping, and what is missing in it, is better shown at the key that names it than at its own first key
      const asKey = (at === 'key' && index === path.length - 1) || isMap(node) || !hasText(node);
      offset = (asKey ? undefined : offsetOf(node)) ?? offsetOf(pair.key) ?? offset;
    } else break;
  }
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** The text of a key, as it becomes a property; undefined for keys that are no plain text. */
export function keyOf(pair: Pair): string | undefined {
  return isScalar(pair.key) ? String(pair.key.value) : undefined;
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function hasText(node: unknown): boolean {
  return !isScalar(node) || node.source !== '' || node.value !== null;
}

function isNode(node: unknown): node is Node {
  return typeof node === 'object' && node !== null && 'range' in node;
}
