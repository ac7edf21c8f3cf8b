import { hasCode } from '../lib/error.ts';
import type { RepositoryAccess } from './access-store.ts';
import type { HostAccess } from './host-access.ts';
import { hostOf } from './hosts.ts';

/** Where refs of pull requests are, on hosts that offer them; undefined: this one does not. */
export function pullPrefix(repository: Pick<RepositoryAccess, 'url' | 'host'>): string | undefined {
  return hostOf(repository.url, repository.host).pulls?.prefix;
}

/**
 * Whether a pull request is open, as its host says.
 * @returns null when nobody can say: the host has no such API, or the credential is no token
 */
export async function isPullOpen(
  hosts: Pick<HostAccess, 'api'>,
  repository: Pick<RepositoryAccess, 'url' | 'host' | 'credential'>,
  number: number,
): Promise<boolean | null> {
  const { pulls } = hostOf(repository.url, repository.host);
  const api = hosts.api(repository, repository.credential);
  if (api === null || pulls === null) return null;
  try {
    const { body } = await api.call({ method: 'GET', path: `${pulls.path}/${number}` });
    const state = typeof body === 'object' && body !== null && 'state' in body ? body.state : undefined;
    return typeof state === 'string' ? pulls.open.includes(state) : null;
  } catch (error) {
    if (hasCode(error, 'host.no-token')) return null;
    throw error;
  }
}
