import { Composer, type CST, type Document, isAlias, isCollection, isMap, isPair, isScalar, Parser, visit } from 'yaml';

import { GitopsError } from '../gitops-error.ts';

/** A file of YAML documents, as it stands: the text without its byte order mark, and what two versions of YAML read in it. */
export interface Manifest {
  readonly file: string;
  readonly bom: boolean;
  readonly text: string;
  readonly documents: readonly Document.Parsed[];
  /** The same by YAML 1.1, which many tools still read. */
  readonly old: readonly Document.Parsed[];
}

const BOM = '\ufeff';
/** Far beyond any manifest that people keep; what is larger is generated, or made to exhaust the reader. */
const MOST_BYTES = 8 * 1024 * 1024;

/** @throws GitopsError `gitops.not-yaml` */
export function parseManifest(bytes: Uint8Array, file: string): Manifest {
  if (bytes.length > MOST_BYTES) throw notYaml(file, 'it has more than 8 MB');
  let whole: string;
  try {
    whole = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw notYaml(file, 'it is not UTF-8');
  }
  const bom = whole.startsWith(BOM);
  return manifestOf(file, bom, bom ? whole.slice(1) : whole);
}

/** @throws GitopsError `gitops.not-yaml` */
export function manifestOf(file: string, bom: boolean, text: string): Manifest {
  const tokens = reading(file, () => [...new Parser().parse(text)]); // the same to both versions
  return { file, bom, text, documents: read(tokens, text, '1.2', file), old: read(tokens, text, '1.1', file) };
}

export function bytesOf({ bom, text }: Manifest): Buffer {
  return Buffer.from(bom ? BOM + text : text);
}

function read(
  tokens: readonly CST.Token[],
  text: string,
  version: '1.1' | '1.2',
  file: string,
): readonly Document.Parsed[] {
  const documents = reading(file, () => composed(tokens, text, version, file));
  const error = documents.flatMap(({ errors }) => errors)[0];
  if (error === undefined) return documents;
  const why = /call stack/.test(error.message) ? 'it is nested too deep' : error.message.split('\n')[0];
  throw notYaml(file, `line ${lineAt(text, error.pos[0])}: ${why}`);
}

function composed(
  tokens: readonly CST.Token[],
  text: string,
  version: '1.1' | '1.2',
  file: string,
): readonly Document.Parsed[] {
  // `uniqueKeys` compares each key of a map with all before it: minutes for one of a hundred thousand
  const options = { version, strict: true, uniqueKeys: false, prettyErrors: false, logLevel: 'silent' } as const;
  const documents = [...new Composer(options).compose(tokens)] as Document.Parsed[];
  const doubled = documents.flatMap(({ contents }) => doubledKey(contents) ?? [])[0];
  if (doubled !== undefined) throw notYaml(file, `line ${lineAt(text, doubled)}: a key stands there twice`);
  return documents;
}

/** What is nested without end is too much for each of them. */
function reading<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof GitopsError) throw error;
    throw notYaml(file, error instanceof RangeError ? 'it is nested too deep' : String(error));
  }
}

/** @returns where a key begins that its map has already; null when there is none */
function doubledKey(node: unknown): number | null {
  if (isPair(node)) return doubledKey(node.key) ?? doubledKey(node.value);
  if (isMap(node)) {
    const seen = new Set<string>();
    for (const { key } of node.items) {
      if (!isScalar(key) || typeof key.value === 'symbol') continue; // a merge, by YAML 1.1
      const name = `${typeof key.value} ${String(key.value)}`;
      if (seen.has(name)) return key.range?.[0] ?? 0;
      seen.add(name);
    }
  }
  if (!isCollection(node)) return null;
  for (const item of node.items) {
    const found = doubledKey(item);
    if (found !== null) return found;
  }
  return null;
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

/** Which document of a file is meant, by what Kubernetes calls its objects. */
export interface Selector {
  readonly kind?: string | undefined;
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
}

export function isSelected(document: Document.Parsed, { kind, name, namespace }: Selector): boolean {
  return (
    (kind === undefined || textAt(document, ['kind']) === kind) &&
    (name === undefined || textAt(document, ['metadata', 'name']) === name) &&
    (namespace === undefined || textAt(document, ['metadata', 'namespace']) === namespace)
  );
}

function textAt(document: Document.Parsed, keys: readonly string[]): string | null {
  let node: unknown = document.contents;
  for (const key of keys) node = isMap(node) ? node.get(key, true) : undefined;
  return isScalar(node) ? String(node.value) : null;
}

/** The names of anchors that something refers to: what stands under one of them stands in several places. */
export function referredAnchors({ text }: Manifest, document: Document.Parsed): ReadonlySet<string> {
  const names = new Set<string>();
  if (!text.includes('*')) return names; // that is how each begins
  visit(document, {
    Alias: (_key, node) => {
      if (isAlias(node)) names.add(node.source);
    },
  });
  return names;
}

function notYaml(file: string, why: string): GitopsError {
  return new GitopsError({
    code: 'gitops.not-yaml',
    what: `${file} cannot be read as YAML: ${why}.`,
    fix: 'Towpath edits YAML, and no templates: name the values file of a chart, or mend the file.',
  });
}
