/** What a request to the distribution API asks for. */
export type Route =
  | { readonly kind: 'base' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'tags'; readonly repository: string }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: string }
  | { readonly kind: 'uploads'; readonly repository: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly id: string }
  | { readonly kind: 'referrers'; readonly repository: string; readonly digest: string };

/** What a request does with a repository, for the permission that it needs. */
export type Access = 'pull' | 'push' | 'delete';

/**
 * A repository's name may hold the words of the API (`a/blobs/uploads`), so the last of them counts.
 * @param path the path of the URL, still escaped
 * @returns null when it is no path of the distribution API
 */
export function parseRoute(path: string): Route | null {
  if (path === '/v2' || path === '/v2/') return { kind: 'base' };
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  const parts = path.split('/').slice(2).map(unescaped);
  if (!path.startsWith('/v2/') || parts.includes(null)) return null;
  const words = parts.filter((part) => part !== null);
  const name = (length: number) => words.slice(0, words.length - length).join('/');
  const [third = '', second = '', last = ''] = ['', '', '', ...words].slice(-3);
  if (third === 'blobs' && second === 'uploads') {
    return last === '' ? { kind: 'uploads', repository: name(3) } : { kind: 'upload', repository: name(3), id: last };
  }
  if (second === 'blobs' && last === 'uploads') return { kind: 'uploads', repository: name(2) };
  if (second === 'tags' && last === 'list') return { kind: 'tags', repository: name(2) };
  if (second === 'manifests') return { kind: 'manifest', repository: name(2), reference: last };
  if (second === 'blobs') return { kind: 'blob', repository: name(2), digest: last };
  if (second === 'referrers') return { kind: 'referrers', repository: name(2), digest: last };
  return null;
}

export function accessOf(method: string, route: Route): Access {
  if (method === 'GET' || method === 'HEAD') return route.kind === 'upload' ? 'push' : 'pull';
  return method === 'DELETE' && route.kind !== 'upload' ? 'delete' : 'push';
}

function unescaped(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
