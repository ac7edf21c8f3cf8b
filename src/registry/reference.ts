import { isDigest } from '../lib/digest.ts';
import type { Digest } from '../lib/digest.ts';
import { RegistryError } from './error.ts';

/** A reference to an image, with everything that docker leaves out put in. */
export interface ImageReference {
  /** Host with its port; `docker.io` when none is written. */
  readonly host: string;
  readonly repository: string;
  readonly tag: string | null;
  readonly digest: Digest | null;
}

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const HOST = /^(?:localhost|[a-zA-Z0-9.-]+\.[a-zA-Z0-9.-]+|[a-zA-Z0-9.-]+(?=:\d)|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;

/** The grammar of distribution-spec 1.1; 255 characters is what every known registry takes. */
export function isRepository(text: string): boolean {
  return text.length <= 255 && REPOSITORY.test(text);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** @throws RegistryError `registry.name-invalid` */
export function checkRepository(text: string): void {
  if (isRepository(text)) return;
  throw new RegistryError({
    code: 'registry.name-invalid',
    what: `"${text.slice(0, 80)}" is not the name of an image repository.`,
    fix: 'Use lower-case letters, digits and single separators (`.`, `_`, `-`), with `/` between the parts.',
  });
}

/** @throws RegistryError `registry.name-invalid` */
export function checkTag(text: string): void {
  if (isTag(text)) return;
  throw new RegistryError({
    code: 'registry.name-invalid',
    what: `"${text.slice(0, 140)}" is not an image tag.`,
    fix: 'Use at most 128 letters, digits, `_`, `.` and `-`, beginning with a letter, a digit or `_`.',
  });
}

/**
 * Reads a reference the way docker does: `node` is `docker.io/library/node`, and the first part is a host only when it
 * holds a dot or a port, or is `localhost`.
 * @throws RegistryError `registry.name-invalid`
 */
export function parseReference(text: string): ImageReference {
  const [named = '', digest = null, ...more] = text.split('@');
  const slash = named.indexOf('/');
  const first = slash < 0 ? '' : named.slice(0, slash);
  const hasHost = HOST.test(first);
  const host = hasHost ? first : 'docker.io';
  const path = hasHost ? named.slice(slash + 1) : named;
  const colon = path.lastIndexOf(':');
  const bare = colon < 0 ? path : path.slice(0, colon);
  const tag = colon < 0 ? null : path.slice(colon + 1);
  const repository = host === 'docker.io' && !bare.includes('/') ? `library/${bare}` : bare;
  const sound = isRepository(repository) && (tag === null || isTag(tag)) && more.length === 0;
  if (sound && (digest === null || isDigest(digest))) return { host, repository, tag, digest };
  throw new RegistryError({
    code: 'registry.name-invalid',
    what: `"${text.slice(0, 200)}" is not a reference to an image.`,
    fix: 'Write it as `host/name:tag` or `host/name@sha256:...`.',
  });
}

/** The full form of a reference: it names its host, and says `latest` when it names nothing else. */
export function formatReference({ host, repository, tag, digest }: ImageReference): string {
  const name = tag === null && digest === null ? ':latest' : tag === null ? '' : `:${tag}`;
  return `${host}/${repository}${name}${digest === null ? '' : `@${digest}`}`;
}
