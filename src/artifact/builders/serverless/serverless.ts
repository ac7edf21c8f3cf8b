import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { posix } from 'node:path';
import { buffer } from 'node:stream/consumers';

import type { SourceTree } from '../../../git/tree.ts';
import { hashOfJson, sha256 } from '../../../lib/digest.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { Builder, BuildRequest, BuiltArtifact } from '../../builder.ts';
import type { BlobPlace } from '../../image-store.ts';
import type { Layer, LayerItem } from '../../oci/layer.ts';
import { MANIFEST_MEDIA_TYPE } from '../../oci/image.ts';
import { ensureBlob } from '../../oci/push.ts';
import { readTar } from '../../oci/tar-reader.ts';
import { codeSha256, EMPTY_CONFIG, writeFunctionManifest } from '../../zip/function-manifest.ts';
import { writeZip } from '../../zip/zip-writer.ts';
import { makeLayer, openLayer, pushLayer } from '../node/made-layer.ts';
import type { MadeLayer } from '../node/made-layer.ts';
import { modulesLayer, type Modules } from '../node/modules.ts';
import { refuseFilesAsFolders } from '../node/modules-layer.ts';
import { CACHE_BYTES, type NodeBuilderParts, PREFIX } from '../node/node.ts';
import { filterSource, isNpmFile, sourceItems } from '../node/source-layer.ts';
import { fileChooser } from './choose-files.ts';
import { ServerlessDefinition } from './definition.ts';
import { type FunctionSet, functionSet, type PlannedZip } from './function-set.ts';

/** Raised when equal inputs would give other bytes than before. */
const OUTPUT_VERSION = 1;

const MAX_MODULES_BYTES = 1024 ** 3;
/** What Lambda takes in a request; beyond it a zip goes there by way of S3. */
const DIRECT_UPLOAD_BYTES = 50 * 1024 * 1024;

const unzip = promisify(gunzip);

export interface ServerlessParts extends Pick<NodeBuilderParts, 'base' | 'npmCi'> {
  /** Where the bytes of zips go; null for the registry, beside their manifest. */
  readonly bucket: BlobPlace | null;
}

/**
 * Zips of functions, with the files that `osls package` would take, made from git objects and the lock file: nothing of
 * the repository is run. They rest in the registry as one manifest, so that they are named, kept and promoted as images are.
 */
export function serverlessBuilder(parts: ServerlessParts): Builder<ServerlessDefinition> {
  const npmMajor = parts.base.lock.npm.version.split('.')[0] ?? '';
  return {
    name: 'serverless',
    version: `${OUTPUT_VERSION}-npm${npmMajor}`,
    definition: ServerlessDefinition,
    baseReferences: async (definition, source) => [baseOf(await functionSet(definition, source))],
    inputs: async (definition, source) => inputsOf(definition, source, await functionSet(definition, source)),
    build: (request) => build(parts, request),
  };
}

function baseOf({ npm }: FunctionSet): string {
  return `towpath:node-${npm.node}`;
}

/** What goes into some zip, what npm reads, and the file that says so. */
function inputsOf(definition: ServerlessDefinition, source: SourceTree, { zips, file }: FunctionSet): SourceTree {
  const choosers = zips.map(({ patterns }) => fileChooser(patterns));
  const entries = filterSource(definition, source).entries.filter(
    ({ path }) => isNpmFile(path) || choosers.some((chooses) => chooses(path)),
  );
  const known = new Set(entries.map(({ path }) => path));
  const all = source.entries.filter(({ path }) => known.has(path) || path === file);
  return { ...source, entries: all, read: (oid) => source.read(oid), prefetch: (oids) => source.prefetch(oids) };
}

async function build(parts: ServerlessParts, request: BuildRequest<ServerlessDefinition>): Promise<BuiltArtifact> {
  const { definition, platform, repository, log, signal } = request;
  const { base, bucket } = parts;
  const { images, layers: cache, lock } = base;
  const set = await functionSet(definition, request.source, platform);
  const source = inputsOf(definition, request.source, set);
  const reference = baseOf(set);
  const pin = request.pins[reference];
  if (pin === undefined) throw new TypeError(`The base ${reference} was not pinned.`);
  const nodeVersion = lock.platforms[platform]?.nodes[set.npm.node]?.version ?? null;
  const modules = await modulesLayer(
    { ...base, npmCi: parts.npmCi, prefix: PREFIX },
    { definition: set.npm, source, platform, base: { pin, nodeVersion, own: null }, log, signal },
  );
  const zips: (MadeLayer & { title: string })[] = [];
  for (const plan of set.zips) {
    const zip = await makeZip(parts, { plan, source, modules, request });
    log(
      `${plan.title}: ${Object.keys(plan.handlers).join(', ')}; ${zip.size} bytes, ${zip.digest}, CodeSha256 ${codeSha256(zip.digest)}`,
    );
    if (zip.size > DIRECT_UPLOAD_BYTES) log('note: more than 50 MB; Lambda takes it by way of S3 only');
    zips.push({ ...zip, title: plan.title });
  }
  await Promise.all(zips.map((zip) => pushLayer(bucket ?? images, cache, repository, zip)));
  await ensureBlob(
    images,
    repository,
    { digest: sha256(EMPTY_CONFIG), size: EMPTY_CONFIG.length },
    async () => () => EMPTY_CONFIG,
  );
  const rest = bucket === null ? 'registry' : 'bucket';
  const bytes = writeFunctionManifest({ node: set.npm.node, platform, zips, rest });
  const digest = await images.putManifest(repository, sha256(bytes), { mediaType: MANIFEST_MEDIA_TYPE, bytes });
  await cache.prune(CACHE_BYTES);
  return {
    digest,
    mediaType: MANIFEST_MEDIA_TYPE,
    sizeBytes: zips.reduce((sum, { size }) => sum + size, EMPTY_CONFIG.length),
    materials: [{ uri: reference, digest: pin }, ...modules.materials],
    isolation: modules.isolation,
  };
}

interface ZipWork {
  readonly plan: PlannedZip;
  readonly source: SourceTree;
  readonly modules: Modules;
  readonly request: BuildRequest<ServerlessDefinition>;
}

/** A zip is kept on this machine as layers are: found by what it was made from. */
async function makeZip(parts: Pick<NodeBuilderParts, 'base'>, work: ZipWork): Promise<MadeLayer> {
  const { plan, source, modules, request } = work;
  const chooses = fileChooser(plan.patterns);
  const entries = source.entries.filter(({ path }) => chooses(path) && path !== '.npmrc');
  const key = hashOfJson({
    zip: OUTPUT_VERSION,
    entries: entries.map(({ path, mode, oid }) => [path, mode, oid]),
    modules: modules.layer?.diffId ?? null,
    patterns: plan.patterns,
    handlers: plan.handlers,
  });
  const write = async (file: string): Promise<Layer> => {
    const items = withoutLooseLinks([
      ...(await sourceItems({ ...source, entries, read: (oid) => source.read(oid) }, '', request.log)),
      ...(await modulesItems(parts, modules.layer)).filter(({ path }) => chooses(path)),
    ]);
    refuseFilesAsFolders(items);
    refuseMissingHandlers(plan, items);
    const { digest, size } = await writeZip(items, file, { signal: request.signal });
    return { diffId: digest, digest, size };
  };
  return makeLayer(parts.base.layers, { summary: plan.title, key, write });
}

async function modulesItems({ base }: Pick<NodeBuilderParts, 'base'>, layer: MadeLayer | null): Promise<LayerItem[]> {
  if (layer === null) return [];
  const tar = await unzip(await buffer((await openLayer(base.layers, layer))()), {
    maxOutputLength: MAX_MODULES_BYTES,
  });
  return [...readTar(tar)].flatMap(({ path, type, mode, target, body }): LayerItem[] => {
    const inside = path.slice(PREFIX.length + 1);
    if (type === '2') return [{ kind: 'symlink', path: inside, target }];
    return type === '0'
      ? [{ kind: 'file', path: inside, executable: (mode & 0o100) !== 0, read: async () => body }]
      : [];
  });
}

/**
 * A link that leaves the zip leads nowhere in Lambda, and anywhere where it is unzipped: it is refused. One that leads to
 * nothing is left out, for its file was.
 */
function withoutLooseLinks(items: readonly LayerItem[]): LayerItem[] {
  const there = new Set(items.map(({ path }) => path));
  const folders = new Set<string>();
  for (const path of there) for (let at = posix.dirname(path); at !== '.'; at = posix.dirname(at)) folders.add(at);
  const links = new Set(items.filter(({ kind }) => kind === 'symlink').map(({ path }) => path));
  const leads = (to: string): boolean => {
    if (there.has(to) || folders.has(to)) return true;
    for (let at = posix.dirname(to); at !== '.'; at = posix.dirname(at)) if (links.has(at)) return true;
    return false;
  };
  return items.filter((item) => {
    if (item.kind !== 'symlink') return true;
    const to = posix.normalize(posix.join(posix.dirname(item.path), item.target)).replace(/\/$/, '');
    if (item.target.startsWith('/') || to === '..' || to.startsWith('../')) throw linkOut(item);
    return leads(to);
  });
}

function linkOut({ path, target }: { readonly path: string; readonly target: string }): ArtifactError {
  return new ArtifactError({
    code: 'artifact.link-outside',
    what: `${path} is a symbolic link to ${JSON.stringify(target)}, outside of the zip.`,
    fix: 'Put the file itself in its place, or exclude the link from the build.',
  });
}

function refuseMissingHandlers({ title, handlers }: PlannedZip, items: readonly LayerItem[]): void {
  const paths = new Set(items.map(({ path }) => path));
  for (const [name, handler] of Object.entries(handlers)) {
    const file = handler.slice(0, handler.lastIndexOf('.')).replace(/^(\.\/)+/, '');
    if (['js', 'mjs', 'cjs'].some((ending) => paths.has(`${file}.${ending}`))) continue;
    const typed = ['ts', 'mts', 'cts'].find((ending) => paths.has(`${file}.${ending}`));
    throw new ArtifactError({
      code: 'artifact.handler-missing',
      what: `The function "${name}" is handled by ${handler}, and ${title} has no ${file}.js, .mjs or .cjs.`,
      fix:
        typed === undefined
          ? 'Correct the handler, or let the file into the zip.'
          : `Lambda does not run ${file}.${typed}, and no build step is run here: commit what is translated from it.`,
    });
  }
}
