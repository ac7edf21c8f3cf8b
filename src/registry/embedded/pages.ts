import { RegistryError } from '../error.ts';
import { MAX_MANIFEST_BYTES, OCI_INDEX } from '../manifest.ts';
import type { Limits } from './limits.ts';

export interface Page<T> {
  readonly page: T[];
  /** The link to the next page, where there is one. */
  readonly headers: Record<string, string>;
}

/** The order that distribution-spec 1.1 wants of tags: as in a dictionary, whatever the case of the letters. */
export function inLexicalOrder(one: string, other: string): number {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  return compare(a, b) || compare(one, other);
}

/**
 * The names after `last`, `n` of them at most, and never more than the registry gives at once.
 * @param names in lexical order
 * @throws RegistryError `registry.name-invalid`
 */
export function pageOf(
  names: readonly string[],
  { query, stores: { limits } }: { query: URLSearchParams; stores: { limits: Pick<Limits, 'namesPerPage'> } },
  path: string,
): Page<string> {
  const last = query.get('last');
  const asked = query.get('n') ?? `${limits.namesPerPage}`;
  const rest = last === null ? names : names.filter((name) => inLexicalOrder(name, last) > 0);
  if (!/^\d{1,9}$/.test(asked)) {
    throw new RegistryError({
      code: 'registry.name-invalid',
      what: `"${asked.slice(0, 20)}" is not a number of results.`,
      fix: 'Write `n` as digits.',
    });
  }
  const most = Math.min(Number(asked), limits.namesPerPage);
  const page = rest.slice(0, most);
  const end = page.at(-1);
  if (end === undefined || page.length === rest.length) return { page, headers: {} };
  return { page, headers: linkTo(path, { n: `${most}`, last: end }) };
}

/**
 * As many descriptors after the digest `last` as an index may hold: a client takes 4 MiB for a manifest.
 * @param all in the order of their digests
 */
export function referrersPage<T extends { readonly digest: string }>(
  all: readonly T[],
  query: URLSearchParams,
  path: string,
): Page<T> {
  const last = query.get('last') ?? '';
  const rest = all.filter(({ digest }) => digest > last);
  const page: T[] = [];
  let bytes = Buffer.byteLength(JSON.stringify(indexOf([])));
  for (const one of rest) {
    bytes += Buffer.byteLength(JSON.stringify(one)) + 1;
    if (page.length > 0 && bytes > MAX_MANIFEST_BYTES) break;
    page.push(one);
  }
  const end = page.at(-1);
  if (end === undefined || page.length === rest.length) return { page, headers: {} };
  const type = query.get('artifactType');
  return { page, headers: linkTo(path, { ...(type === null ? {} : { artifactType: type }), last: end.digest }) };
}

export function indexOf(manifests: readonly object[]): object {
  return { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
}

function linkTo(path: string, query: Record<string, string>): Record<string, string> {
  return { link: `<${path}?${new URLSearchParams(query).toString()}>; rel="next"` };
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
