import { isMap, isScalar, Scalar } from 'yaml';

import { GitopsError } from '../gitops-error.ts';
import { isKey, locate, type Located, type Place } from './locate.ts';
import { type Manifest, manifestOf } from './manifest.ts';
import { formatPath } from './path.ts';
import { type Difference, differOnlyIn } from './same.ts';
import { isPrintable, type ScalarStyle, writeScalar } from './scalar.ts';

export type Change = { readonly place: Place; readonly value: string } & (
  | {
      readonly kind: 'set';
      /** What the comment behind it says, where no other stands there; undefined: comments stay as they are. */
      readonly note?: string | undefined;
    }
  | {
      /** A pair more in the map at the place, on a line of its own below the last of these keys that it has. */
      readonly kind: 'insert';
      readonly below: readonly string[];
      readonly key: string;
    }
);

/** How our own comments begin: all others are left alone. */
const NOTE = '# towpath: ';

/**
 * Changes one scalar of a file, or adds one pair: its bytes are spliced in, everything else stays as it is, byte for byte.
 * The result is read again, by YAML 1.1 and 1.2, and what does not differ in that path alone is not written.
 * @throws GitopsError `gitops.no-path`, `gitops.not-a-scalar`, `gitops.template`, `gitops.value`, `gitops.unproven`, `gitops.ambiguous`, `gitops.shared`
 */
export function changeManifest(manifest: Manifest, change: Change): Manifest {
  if (!isPrintable(change.value)) throw unwritable(manifest, change);
  const found = locate(manifest, change.place);
  if (found === null) throw noPath(manifest, change.place);
  const { text, difference } = change.kind === 'set' ? set(manifest, found, change) : insert(manifest, found, change);
  if (text === manifest.text) return manifest;
  let after: Manifest;
  try {
    after = manifestOf(manifest.file, manifest.bom, text);
  } catch (cause) {
    throw unproven(manifest, change.place, cause);
  }
  const isProven =
    differOnlyIn(manifest.documents, after.documents, difference) && differOnlyIn(manifest.old, after.old, difference);
  if (!isProven) throw unproven(manifest, change.place);
  return after;
}

/** The text at a place as every reader takes it; null when nothing is there. @throws as `changeManifest` */
export function textAt(manifest: Manifest, place: Place): string | null {
  const found = locate(manifest, place);
  if (found === null) return null;
  const { node, start, end } = scalarAt(manifest, found, place);
  return node.value === null ? '' : typeof node.value === 'string' ? node.value : manifest.text.slice(start, end);
}

interface Spliced {
  readonly text: string;
  readonly difference: Difference;
}

function set(manifest: Manifest, found: Located, { place, value, note }: Change & { kind: 'set' }): Spliced {
  const { start, end, style } = scalarAt(manifest, found, place);
  const written = isTextToAll(manifest, found, value)
    ? manifest.text.slice(start, end)
    : writeScalar(value, style, found.inFlow);
  const after = manifest.text.slice(end);
  const rest = note === undefined || found.inFlow ? after : withNote(after, note);
  return {
    text: manifest.text.slice(0, start) + written + rest,
    difference: { kind: 'set', document: found.document, trail: found.trail, value },
  };
}

/** What stands there stays as it is written when it already says what it should, to readers of YAML 1.1 as well. */
function isTextToAll(manifest: Manifest, { document, trail }: Located, value: string): boolean {
  const unchanged: Difference = { kind: 'set', document, trail, value };
  return (
    differOnlyIn(manifest.documents, manifest.documents, unchanged) &&
    differOnlyIn(manifest.old, manifest.old, unchanged)
  );
}

/** Takes the place of a note of ours, or of nothing; blanks at the end of the line stay. */
function withNote(after: string, note: string): string {
  const [line = ''] = /^[^\r\n]*/.exec(after) ?? [];
  const [, blank = '', old, end = ''] = /^([ \t]*)(# towpath: [\w.-]+)?([ \t]*)$/.exec(line) ?? [null];
  const isFree = line.trim() === '' || old !== undefined;
  if (!isFree) return after;
  const noted = old === undefined ? ` ${NOTE}${note}${line}` : `${blank}${NOTE}${note}${end}`;
  return noted + after.slice(line.length);
}

function insert(
  manifest: Manifest,
  found: Located,
  { place, below, key, value }: Change & { kind: 'insert' },
): Spliced {
  const { node, inFlow } = found;
  if (!isMap(node)) throw notAScalar(manifest, place, 'it is no map');
  const at = node.items.findLastIndex((pair) => below.some((one) => isKey(pair.key, one)));
  const pair = node.items[at];
  if (pair === undefined || !isScalar(pair.value) || !isScalar(pair.key)) throw noPath(manifest, place);
  const { end, start } = oneLine(manifest, pair.value, place);
  const { text } = manifest;
  const difference: Difference = {
    kind: 'insert',
    document: found.document,
    trail: found.trail,
    at: at + 1,
    key,
    value,
  };
  if (inFlow || node.flow === true) {
    const added = `, ${key}: ${writeScalar(value, 'plain', true)}`;
    return { text: text.slice(0, end) + added + text.slice(end), difference };
  }
  const lineStart = text.lastIndexOf('\n', start - 1) + 1;
  const indent = text.slice(lineStart, pair.key.range[0]).replace(/\S/g, ' ');
  const [line = ''] = /^[^\r\n]*/.exec(text.slice(end)) ?? [];
  const eol = /\r?\n/.exec(text.slice(end))?.[0] ?? /\r?\n/.exec(text)?.[0] ?? '\n';
  const lineEnd = end + line.length;
  const added = `${eol}${indent}${key}: ${writeScalar(value, 'plain', false)}`;
  return { text: text.slice(0, lineEnd) + added + text.slice(lineEnd), difference };
}

interface FoundScalar {
  readonly node: Scalar.Parsed;
  readonly start: number;
  readonly end: number;
  readonly style: ScalarStyle;
}

function scalarAt(manifest: Manifest, { node }: Located, place: Place): FoundScalar {
  if (!isScalar(node)) throw notAScalar(manifest, place, 'it is a map or a list');
  if (node.tag !== undefined && node.tag !== 'tag:yaml.org,2002:str')
    throw notAScalar(manifest, place, `it has the tag ${node.tag}`);
  return oneLine(manifest, node, place);
}

function oneLine(manifest: Manifest, node: Scalar.Parsed, place: Place): FoundScalar {
  const [start, end] = node.range;
  const written = manifest.text.slice(start, end);
  const style = STYLES.get(node.type ?? '');
  if (style === undefined) throw notAScalar(manifest, place, 'it is a block of text');
  if (/[\r\n]/.test(written)) throw notAScalar(manifest, place, 'it goes over several lines');
  if (written === '') throw notAScalar(manifest, place, 'nothing is written there');
  if (written.includes('{{')) throw template(manifest, place);
  return { node, start, end, style };
}

const STYLES: ReadonlyMap<string, ScalarStyle> = new Map([
  [Scalar.PLAIN, 'plain'],
  [Scalar.QUOTE_SINGLE, 'single'],
  [Scalar.QUOTE_DOUBLE, 'double'],
]);

/** The file with these changes, one after the other. */
export function changed(manifest: Manifest, changes: readonly Change[]): Manifest {
  return changes.reduce(changeManifest, manifest);
}

function noPath({ file }: Manifest, { path, document }: Place): GitopsError {
  const of = document === undefined ? '' : ` of the document ${document.kind ?? ''} ${document.name ?? ''}`.trimEnd();
  return new GitopsError({
    code: 'gitops.no-path',
    what: `There is no ${formatPath(path)}${of} in ${file}.`,
    fix: 'Correct the place in towpath.yaml, or add the field to the manifest once by hand.',
  });
}

function notAScalar({ file }: Manifest, { path }: Place, why: string): GitopsError {
  return new GitopsError({
    code: 'gitops.not-a-scalar',
    what: `${formatPath(path)} of ${file} is not a text on one line: ${why}.`,
    fix: 'Write it as a plain or quoted text, `""` when it is to be empty.',
  });
}

function template({ file }: Manifest, { path }: Place): GitopsError {
  return new GitopsError({
    code: 'gitops.template',
    what: `${formatPath(path)} of ${file} is a template, which a value in its place would break.`,
    fix: 'Name the value that the template reads: a path in the values file of the chart.',
  });
}

function unwritable({ file }: Manifest, { place: { path } }: Change): GitopsError {
  return new GitopsError({
    code: 'gitops.value',
    what: `What is to be written at ${formatPath(path)} of ${file} is not printable ASCII.`,
    fix: 'Use a tag and a name of an image that registries take.',
  });
}

function unproven({ file }: Manifest, { path }: Place, cause?: unknown): GitopsError {
  return new GitopsError(
    {
      code: 'gitops.unproven',
      what: `It cannot be proven that a change of ${formatPath(path)} in ${file} changes nothing else; nothing was written.`,
      fix: 'Write the image on a line of its own, as a plain or quoted text.',
    },
    { cause },
  );
}
