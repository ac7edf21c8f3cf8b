import { RegistryError } from '../error.ts';
import { textOf } from './transport.ts';
import type { RegistryResponse, Transport } from './transport.ts';

/** More pages than any honest registry has, so that a link to itself comes to an end. */
const MAX_PAGES = 10_000;

/** The pages of a list, by `Link: <...>; rel="next"`. A link to another host is not followed. */
export async function* pagesOf(
  transport: Transport,
  first: string,
  scopes: readonly string[],
): AsyncGenerator<RegistryResponse> {
  let url: string | URL = first;
  for (let page = 0; page < MAX_PAGES; page++) {
    const response = await transport.send({ method: 'GET', url, scopes });
    const next = nextOf(response);
    yield response;
    if (next === null) return;
    if (next.origin !== response.url.origin) throw strayed(response.url, next.host);
    url = next;
  }
}

function nextOf({ headers, url, statusCode }: RegistryResponse): URL | null {
  const [, link] = /<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(textOf(headers['link']) ?? '') ?? [];
  if (statusCode !== 200 || link === undefined) return null;
  if (!URL.canParse(link, url.href)) throw strayed(url, 'what is no address'); // half a list would pass for the whole
  return new URL(link, url);
}

function strayed(from: URL, to: string): RegistryError {
  return new RegistryError({
    code: 'registry.untrusted-redirect',
    what: `${from.host} continues its list on ${to}.`,
    fix: 'Use the address by which the registry knows itself.',
  });
}
