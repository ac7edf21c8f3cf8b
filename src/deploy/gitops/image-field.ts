import { type Digest, isDigest } from '../../lib/digest.ts';
import { isTag } from '../../registry/reference.ts';
import { GitopsError } from './gitops-error.ts';
import type { ImagePlace } from './image-place.ts';
import { type Change, changed, textAt } from './manifest/change.ts';
import { locate, type Place } from './manifest/locate.ts';
import { bytesOf, type Manifest, parseManifest } from './manifest/manifest.ts';
import { formatPath, parsePath, type Step } from './manifest/path.ts';
import type { Readings } from './manifest/readings.ts';

/** How a tag goes along with the digest: as a comment behind it, or within the reference. */
export type ImageStyle = 'digest' | 'tag@digest';

export interface WantedImage {
  readonly digest: Digest;
  /** A name that the image has; null when it has none that says anything. */
  readonly tag: string | null;
}

/** Writes an image where it stands in a file. @throws GitopsError */
export function writeImage(
  bytes: Uint8Array,
  place: ImagePlace,
  image: WantedImage,
  style: ImageStyle,
  readings?: Readings,
): Buffer {
  if (image.tag !== null && !isTag(image.tag)) throw noTag(place, image.tag);
  const manifest = readings?.of(bytes, place.file) ?? parseManifest(bytes, place.file);
  const after = changed(manifest, changesOf(manifest, place, image, style));
  readings?.keep(after);
  return bytesOf(after);
}

/** The digest that a file names at a place; null where it names none. @throws GitopsError */
export function readImage(bytes: Uint8Array, place: ImagePlace): Digest | null {
  const manifest = parseManifest(bytes, place.file);
  if ('image' in place) return partsOf(requireText(manifest, at(place, place.image))).digest;
  if ('kustomize' in place) {
    requireText(manifest, entryOf(place.kustomize, 'name'));
    return asDigest(textAt(manifest, entryOf(place.kustomize, 'digest')));
  }
  const digest = textAt(manifest, at(place, place.helm, 'digest'));
  if (digest !== null && digest !== '') return asDigest(digest);
  return partsOf(`name:${requireText(manifest, at(place, place.helm, 'tag'))}`).digest;
}

function changesOf(manifest: Manifest, place: ImagePlace, { digest, tag }: WantedImage, style: ImageStyle): Change[] {
  if ('image' in place) {
    const where = at(place, place.image);
    const name = place.name ?? partsOf(requireText(manifest, where)).name;
    const inTag = style === 'tag@digest' && tag !== null ? `:${tag}` : '';
    const note = style === 'digest' && tag !== null ? tag : undefined;
    return [{ kind: 'set', place: where, value: `${name}${inTag}@${digest}`, note }];
  }
  return 'helm' in place
    ? helmChanges(manifest, place, { digest, tag })
    : kustomizeChanges(manifest, place, { digest, tag });
}

type HelmPlace = Extract<ImagePlace, { helm: string }>;
type KustomizePlace = Extract<ImagePlace, { kustomize: string }>;

/** A chart that knows digests has a key for one; every other puts `repository:tag` together, and takes a tag with a digest. */
function helmChanges(manifest: Manifest, place: HelmPlace, { digest, tag }: WantedImage): Change[] {
  const [digestAt, tagAt] = [at(place, place.helm, 'digest'), at(place, place.helm, 'tag')];
  const knowsDigests = locate(manifest, digestAt) !== null;
  const hasTag = locate(manifest, tagAt) !== null;
  if (!knowsDigests && tag === null) throw needsTag(place);
  const name = nameChange(place, at(place, place.helm, 'repository'));
  if (!knowsDigests) return [...name, { kind: 'set', place: tagAt, value: `${tag}@${digest}` }];
  return [...name, ...(hasTag && tag !== null ? [setTo(tagAt, tag)] : []), setTo(digestAt, digest)];
}

function kustomizeChanges(manifest: Manifest, place: KustomizePlace, { digest, tag }: WantedImage): Change[] {
  const { kustomize } = place;
  const [digestAt, tagAt] = [entryOf(kustomize, 'digest'), entryOf(kustomize, 'newTag')];
  requireText(manifest, entryOf(kustomize, 'name'));
  const hasDigest = locate(manifest, digestAt) !== null;
  const hasTag = locate(manifest, tagAt) !== null;
  if (hasTag && tag === null) throw needsTag(place);
  return [
    ...nameChange(place, entryOf(kustomize, 'newName')),
    ...(hasTag && tag !== null ? [setTo(tagAt, tag)] : []),
    hasDigest
      ? setTo(digestAt, digest)
      : {
          kind: 'insert',
          place: entryOf(kustomize),
          below: ['name', 'newName', 'newTag'],
          key: 'digest',
          value: digest,
        },
  ];
}

function nameChange({ name }: ImagePlace, place: Place): Change[] {
  return name === undefined ? [] : [setTo(place, name)];
}

function setTo(place: Place, value: string): Change {
  return { kind: 'set', place, value };
}

function at(place: ImagePlace, path: string, ...keys: readonly string[]): Place {
  const document = 'document' in place ? place.document : undefined;
  return { document, path: [...(parsePath(path) ?? []), ...keys.map(keyStep)] };
}

function entryOf(name: string, ...keys: readonly string[]): Place {
  return { path: [keyStep('images'), { kind: 'item', key: 'name', value: name }, ...keys.map(keyStep)] };
}

function keyStep(key: string): Step {
  return { kind: 'key', key };
}

function requireText(manifest: Manifest, place: Place): string {
  const text = textAt(manifest, place);
  if (text !== null) return text;
  throw new GitopsError({
    code: 'gitops.no-path',
    what: `${manifest.file} has no ${formatPath(place.path)} where the image should stand.`,
    fix: 'Correct the place in towpath.yaml, or add the field to the manifest once by hand.',
  });
}

/** The parts of `name[:tag][@digest]` as they are written: nothing that was left out is put in. */
function partsOf(reference: string): { readonly name: string; readonly digest: Digest | null } {
  const [named = '', digest = ''] = reference.split('@');
  const slash = named.lastIndexOf('/');
  const colon = named.indexOf(':', slash + 1);
  return { name: colon < 0 ? named : named.slice(0, colon), digest: asDigest(digest) };
}

function asDigest(text: string | null): Digest | null {
  return text !== null && isDigest(text) ? text : null;
}

function noTag({ file }: ImagePlace, tag: string): GitopsError {
  return new GitopsError({
    code: 'gitops.value',
    what: `"${tag.slice(0, 140)}" is no tag of an image, so it is not written into ${file}.`,
    fix: 'Tag the release with a name that images may have.',
  });
}

function needsTag({ file }: ImagePlace): GitopsError {
  return new GitopsError({
    code: 'gitops.no-tag',
    what: `The image has no tag, and ${file} wants one beside the digest.`,
    fix: 'Add an empty `digest: ""` to the values, or tag the release.',
  });
}
