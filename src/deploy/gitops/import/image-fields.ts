import { type Document, isAlias, isMap, isScalar, isSeq, type Pair, Scalar, type YAMLMap, type YAMLSeq } from 'yaml';

import { parseReference } from '../../../registry/reference.ts';
import type { ImagePlace } from '../image-place.ts';
import type { Manifest, Selector } from '../manifest/manifest.ts';
import { formatPath, type ManifestPath, parsePath, type Step } from '../manifest/path.ts';

/** A place in a manifest that looks as if an image stood there. */
export interface ImageField {
  readonly place: ImagePlace;
  /** What stands there, with its tag; null where only a tag does, and the name is the chart's. */
  readonly image: string | null;
  /** What it is called where it stands: the map that holds it. */
  readonly called: string;
}

/** What was seen and is not proposed. */
export interface LeftOut {
  readonly where: string;
  readonly why: string;
}

export interface FieldsOfFile {
  readonly fields: readonly ImageField[];
  readonly leftOut: readonly LeftOut[];
}

/** No manifest of people is deeper; what is, was made to exhaust whoever walks it. */
const DEEPEST = 100;
const LONGEST_PATH = 400;

/**
 * Finds image fields by their shapes: `image: name:tag` anywhere, maps of Helm values with `repository` and `tag` or `digest`,
 * `images:` of a kustomization. Aliases are not followed. Whether one can be written is for the driver to say.
 */
export function imageFieldsOf(manifest: Manifest): FieldsOfFile {
  const found: { fields: ImageField[]; leftOut: LeftOut[] } = { fields: [], leftOut: [] };
  const documents = manifest.documents.filter(({ contents }) => contents !== null);
  const names = documents.map((document) => selectorOf(document));
  for (const [index, document] of documents.entries()) {
    const selector = names[index] ?? {};
    const alike = names.filter(({ kind, name }) => kind === selector.kind && name === selector.name).length > 1;
    const walk: Walk = {
      file: manifest.file,
      document: documents.length > 1 ? chosen(selector, alike) : undefined,
      ...found,
    };
    const { contents } = document;
    if (isKustomization(manifest.file, document) && isMap(contents)) {
      kustomizeFields(walk, contents.get('images', true));
      visitMap(walk, contents, [], '', 'images');
    } else visit(walk, contents, [], '');
  }
  return found;
}

interface Walk {
  readonly file: string;
  readonly document: Selector | undefined;
  readonly fields: ImageField[];
  readonly leftOut: LeftOut[];
}

function visit(walk: Walk, node: unknown, path: ManifestPath, called: string): void {
  if (path.length > DEEPEST) {
    leaveOut(walk, path.slice(0, 3), `is nested deeper than ${DEEPEST} levels`);
  } else if (isMap(node)) {
    visitMap(walk, node, path, called);
  } else if (isSeq(node)) {
    const names = node.items.map((item) => (isMap(item) ? textOf(item.get('name', true)) : null));
    for (const [index, item] of node.items.entries()) {
      const name = names[index] ?? null;
      const isOnly = name !== null && /^[\w.-]+$/.test(name) && names.filter((one) => one === name).length === 1;
      const step: Step = isOnly ? { kind: 'item', key: 'name', value: name } : { kind: 'index', index };
      visit(walk, item, [...path, step], isOnly ? name : called);
    }
  } else if (isScalar(node) && isBlock(node) && /^[ \t]*(?:-[ \t]+)?image:[ \t]*\S/m.test(String(node.value))) {
    leaveOut(walk, path, 'is a block of text with an image in it: only scalars of their own are written');
  }
}

function visitMap(walk: Walk, map: YAMLMap, path: ManifestPath, called: string, except?: string): void {
  if (isHelmImage(map, path)) return helmField(walk, map, path, called);
  for (const pair of map.items) {
    const key = keyOf(pair);
    if (key === null || key === except) continue;
    const below: ManifestPath = [...path, { kind: 'key', key }];
    const { value } = pair;
    if (key === 'image' && (isScalar(value) || isAlias(value))) imageField(walk, value, below, called);
    else if (isSeq(value) && key === 'images' && called === 'kustomize') argoImages(walk, value, below);
    else if (isSeq(value) && key === 'images' && isFluxKustomization(map, path))
      leaveOut(walk, below, 'is for Flux to put in: name the `images:` of the kustomization itself');
    else visit(walk, value, below, isMap(value) && key === 'image' ? called : key);
  }
}

/** A whole reference in one text. */
function imageField(walk: Walk, node: unknown, path: ManifestPath, called: string): void {
  if (isAlias(node)) return leaveOut(walk, path, 'is an alias: what it refers to stands elsewhere too');
  const text = textOf(node);
  if (text === null || text === '') return leaveOut(walk, path, 'is empty');
  if (/\{\{|\$[({]/.test(text)) return leaveOut(walk, path, 'is a template: name the value that it reads');
  if (!isReference(text)) return leaveOut(walk, path, 'is no reference to an image');
  add(walk, path, called, text, (where, document) => ({ file: walk.file, ...document, image: where }));
}

/** What Argo CD puts into a kustomization: a list of `name=image`. */
function argoImages(walk: Walk, { items }: YAMLSeq, path: ManifestPath): void {
  for (const [index, item] of items.entries()) {
    const text = textOf(item);
    const image = text?.replace(/^[^=]*=/, '') ?? '';
    const here: ManifestPath = [...path, { kind: 'index', index }];
    if (text === null || !isReference(image)) leaveOut(walk, here, 'is no reference to an image');
    else add(walk, here, '', image, (where, document) => ({ file: walk.file, ...document, image: where }));
  }
}

function isHelmImage(map: YAMLMap, path: ManifestPath): boolean {
  const has = (key: string): boolean => isScalar(map.get(key, true));
  const last = path.at(-1);
  const isCalledImage = last?.kind === 'key' && /^(?:image|\w*Image)$/.test(last.key);
  const versions = has('tag') || has('digest');
  return (has('repository') && (versions || isCalledImage)) || (isCalledImage && versions);
}

/** Values of a chart: the name and the tag of an image, apart. */
function helmField(walk: Walk, map: YAMLMap, path: ManifestPath, called: string): void {
  const [registry, repository, tag] = ['registry', 'repository', 'tag'].map((key) => textOf(map.get(key, true)) ?? '');
  if (path.length === 0) return leaveOut(walk, path, 'holds an image at its root, which no path leads to');
  if (map.get('tag', true) === undefined && map.get('digest', true) === undefined)
    return leaveOut(walk, path, 'has neither `tag` nor `digest`: add one of them by hand');
  const name = [registry, repository].filter((part) => part !== '').join('/');
  if (repository !== '' && !isReference(name))
    return leaveOut(walk, path, 'has a `repository` that is no name of an image');
  const image = repository === '' ? null : `${name}${tag === '' ? '' : `:${tag}`}`;
  add(walk, path, called, image, (where, document) => ({ file: walk.file, ...document, helm: where }));
}

function kustomizeFields(walk: Walk, images: unknown): void {
  const path: ManifestPath = [{ kind: 'key', key: 'images' }];
  if (!isSeq(images)) return;
  for (const item of images.items) {
    const [name, newName, newTag] = isMap(item)
      ? ['name', 'newName', 'newTag'].map((key) => textOf(item.get(key, true)) ?? '')
      : [];
    if (name === undefined || name === '' || !isPlain(name)) {
      leaveOut(walk, path, 'has an entry without a `name`');
      continue;
    }
    const image = newName === '' || newName === undefined ? name : newName;
    if (!isReference(image)) {
      leaveOut(walk, path, `has the entry "${image.slice(0, 100)}", which is no name of an image`);
      continue;
    }
    walk.fields.push({
      place: { file: walk.file, kustomize: name },
      image: `${image}${newTag === '' || newTag === undefined ? '' : `:${newTag}`}`,
      called: '',
    });
  }
}

function add(
  walk: Walk,
  path: ManifestPath,
  called: string,
  image: string | null,
  place: (path: string, document: { document?: Selector }) => ImagePlace,
): void {
  const text = formatPath(path);
  if (text.length > LONGEST_PATH || parsePath(text) === null || !isPlain(text))
    return leaveOut(walk, path, 'is at a path that is too long, or has characters that cannot be seen');
  const { document } = walk;
  walk.fields.push({ place: place(text, document === undefined ? {} : { document }), image, called });
}

function leaveOut({ file, leftOut }: Walk, path: ManifestPath, why: string): void {
  const where = formatPath(path)
    .slice(0, LONGEST_PATH)
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '?');
  leftOut.push({ where: `${file} ${where}`.trimEnd(), why });
}

function isKustomization(file: string, { contents }: Document.Parsed): boolean {
  const name = file.slice(file.lastIndexOf('/') + 1).toLowerCase();
  if (!isMap(contents)) return false;
  const [kind, version] = ['kind', 'apiVersion'].map((key) => textOf(contents.get(key, true)));
  const isOurs = version === null || version?.startsWith('kustomize.config.k8s.io/') === true;
  return isOurs && (/^kustomization(?:\.ya?ml)?$/.test(name) || kind === 'Kustomization' || kind === 'Component');
}

function isFluxKustomization(map: YAMLMap, path: ManifestPath): boolean {
  return path.length === 1 && map.get('sourceRef', true) !== undefined;
}

function selectorOf({ contents }: Document.Parsed): Selector {
  if (!isMap(contents)) return {};
  const metadata: unknown = contents.get('metadata', true);
  const [name, namespace] = ['name', 'namespace'].map((key) =>
    isMap(metadata) ? textOf(metadata.get(key, true)) : null,
  );
  const kind = textOf(contents.get('kind', true));
  const plain = (text: string | null | undefined): string | false => typeof text === 'string' && isPlain(text) && text;
  const of = { kind: plain(kind), name: plain(name), namespace: plain(namespace) };
  return {
    ...(of.kind && { kind: of.kind }),
    ...(of.name && { name: of.name }),
    ...(of.namespace && { namespace: of.namespace }),
  };
}

/** The namespace only where kind and name do not tell documents apart. */
function chosen({ kind, name, namespace }: Selector, alike: boolean): Selector | undefined {
  const selector = { ...(kind && { kind }), ...(name && { name }), ...(alike && namespace && { namespace }) };
  return Object.keys(selector).length === 0 ? undefined : selector;
}

function keyOf({ key }: Pair): string | null {
  const text = textOf(key);
  return text === null || text === '' || text === '<<' ? null : text;
}

function textOf(node: unknown): string | null {
  if (!isScalar(node) || node.value === null || typeof node.value === 'symbol') return null;
  return typeof node.value === 'string' ? node.value : (node.source ?? null);
}

function isBlock({ type }: Scalar): boolean {
  return type === Scalar.BLOCK_LITERAL || type === Scalar.BLOCK_FOLDED;
}

/** An escape of YAML makes any character: none of those goes into a towpath.yaml or to a terminal. */
function isPlain(text: string): boolean {
  return !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text);
}

function isReference(text: string): boolean {
  if (/\.(?:png|jpe?g|gif|svg|webp|ico|iso|img|qcow2)$/i.test(text)) return false;
  try {
    parseReference(text);
    return true;
  } catch {
    return false;
  }
}
