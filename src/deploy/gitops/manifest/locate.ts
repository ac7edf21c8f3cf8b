import { type Document, isAlias, isMap, isScalar, isSeq, type ParsedNode } from 'yaml';

import { GitopsError } from '../gitops-error.ts';
import { isSelected, type Manifest, referredAnchors, type Selector } from './manifest.ts';
import { formatPath, type ManifestPath, type Step } from './path.ts';

export interface Place {
  readonly document?: Selector | undefined;
  readonly path: ManifestPath;
}

/** Where a path leads: the number of the document, and the keys and positions down to the node. */
export interface Located {
  readonly document: number;
  readonly node: ParsedNode;
  /** Positions of pairs and items from the root down, the same in the document of YAML 1.1. */
  readonly trail: readonly number[];
  readonly inFlow: boolean;
}

/**
 * Finds the only place that a path leads to.
 * @returns null when there is none
 * @throws GitopsError `gitops.ambiguous`, `gitops.shared` (an alias or an anchor: it stands in several places)
 */
export function locate(manifest: Manifest, { document, path }: Place): Located | null {
  const found = manifest.documents.flatMap((one, index) => {
    if (one.contents === null || !isSelected(one, document ?? {})) return [];
    const node = follow(manifest, one, path);
    return node === null ? [] : [{ ...node, document: index }];
  });
  const [only, another] = found;
  if (another !== undefined)
    throw new GitopsError({
      code: 'gitops.ambiguous',
      what: `${formatPath(path)} is in ${found.length} documents of ${manifest.file}.`,
      fix: 'Say which one: `document: { kind: ..., name: ... }`.',
    });
  return only ?? null;
}

function follow(manifest: Manifest, document: Document.Parsed, path: ManifestPath): Omit<Located, 'document'> | null {
  const shared = referredAnchors(manifest, document);
  let node: unknown = document.contents;
  const trail: number[] = [];
  let inFlow = false;
  for (const step of path) {
    refuseShared(manifest, path, node, shared);
    if (isMap(node) || isSeq(node)) inFlow ||= node.flow === true;
    const at = positionOf(manifest, path, node, step);
    if (at === null) return null;
    trail.push(at);
    node = isMap(node) ? node.items[at]?.value : isSeq(node) ? node.items[at] : null;
  }
  refuseShared(manifest, path, node, shared);
  return node === null || node === undefined ? null : { node: node as ParsedNode, trail, inFlow };
}

/** @returns which pair or item a step means; null when there is none */
function positionOf(manifest: Manifest, path: ManifestPath, node: unknown, step: Step): number | null {
  if (step.kind === 'key')
    return isMap(node) ? indexOrNull(node.items.findIndex(({ key }) => isKey(key, step.key))) : null;
  if (!isSeq(node)) return null;
  if (step.kind === 'index') return step.index < node.items.length ? step.index : null;
  const matching = [...node.items.keys()].filter((index) => {
    const item = node.items[index];
    return isMap(item) && item.items.some(({ key, value }) => isKey(key, step.key) && isValue(value, step.value));
  });
  if (matching.length > 1)
    throw new GitopsError({
      code: 'gitops.ambiguous',
      what: `${matching.length} items of ${manifest.file} have ${step.key}=${step.value} at ${formatPath(path)}.`,
      fix: 'Name the item by its place in the list: `[0]`.',
    });
  return matching[0] ?? null;
}

function refuseShared(manifest: Manifest, path: ManifestPath, node: unknown, shared: ReadonlySet<string>): void {
  const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
  const isShared = isAlias(node) || (anchor !== undefined && shared.has(anchor));
  if (!isShared) return;
  throw new GitopsError({
    code: 'gitops.shared',
    what: `What stands at ${formatPath(path)} of ${manifest.file} stands elsewhere too, by ${isAlias(node) ? 'an alias' : `the anchor "${anchor}"`}.`,
    fix: 'Write the image out where it is used, so that a change of it changes nothing else.',
  });
}

export function isKey(node: unknown, key: string): boolean {
  return isScalar(node) && (node.value === key || node.source === key);
}

function isValue(node: unknown, value: string): boolean {
  return isScalar(node) && (node.value === value || node.source === value);
}

function indexOrNull(index: number): number | null {
  return index < 0 ? null : index;
}
