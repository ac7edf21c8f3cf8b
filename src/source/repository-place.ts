/** Where a repository is, read from the URL that git is given. */
export interface RepositoryPlace {
  readonly hostname: string;
  /** Of the web server of the host: `https://git.example:8443`. Over ssh the port tells nothing, so it is https on its own. */
  readonly origin: string;
  /** `team/shop`: no slash at its ends and no `.git`. */
  readonly path: string;
}

/** @param href as it was checked when the repository was added @returns null for a folder of this machine */
export function placeOf(href: string): RepositoryPlace | null {
  const scpLike = /^[^@/]+@([^:/]+):(.+)$/.exec(href);
  if (scpLike !== null) return overSsh(scpLike[1] ?? '', scpLike[2] ?? '');
  const url = new URL(href);
  if (url.protocol === 'file:') return null;
  if (url.protocol === 'ssh:') return overSsh(url.hostname, url.pathname);
  return { hostname: url.hostname, origin: url.origin, path: trimmed(url.pathname) };
}

function overSsh(hostname: string, path: string): RepositoryPlace {
  return { hostname: hostname.toLowerCase(), origin: `https://${hostname.toLowerCase()}`, path: trimmed(path) };
}

function trimmed(path: string): string {
  return decodeURIComponent(path)
    .replace(/^\/+|\/+$/g, '')
    .replace(/\.git$/, '');
}
