import type { Principal } from './credential.ts';
import { mayDo, type Permission } from './permission.ts';
import { reaches } from './reach.ts';

/** What may be done with a repository of the embedded registry. */
export type RegistryAction = 'pull' | 'push' | 'delete';

/** A part of a token's reach, as the distribution project writes it: `repository:shop/web:pull,push`. */
export interface Scope {
  readonly repository: string;
  readonly actions: readonly RegistryAction[];
}

/** Stands for the list of all repositories: no repository has such a name. */
export const CATALOG = '*';

const NEEDS = {
  pull: 'registry:pull',
  push: 'registry:push',
  delete: 'registry:push',
} as const satisfies Record<RegistryAction, Permission>;

const ACTIONS: readonly RegistryAction[] = ['pull', 'push', 'delete'];

/** More than any client asks for at once. */
const MAX_SCOPES = 50;

export function permissionFor(action: RegistryAction): Permission {
  return NEEDS[action];
}

/**
 * Reads scopes, several in one text with spaces between. What is none of ours is passed over: a client may ask for more
 * than there is, and gets what there is.
 */
export function parseScopes(texts: readonly string[]): Scope[] {
  const words = texts.flatMap((text) => text.split(' ')).slice(0, MAX_SCOPES);
  return words.flatMap((word) => {
    const [, type, name = '', list = ''] = /^([a-z]+)(?:\([a-z]*\))?:(.+):([a-z*,]*)$/.exec(word) ?? [];
    const asked = list.split(',');
    if (type === 'registry' && name === 'catalog') return [{ repository: CATALOG, actions: ['pull'] }];
    if (type !== 'repository') return [];
    return [{ repository: name, actions: ACTIONS.filter((action) => asked.includes('*') || asked.includes(action)) }];
  });
}

export function formatScope({ repository, actions }: Scope): string {
  return repository === CATALOG ? 'registry:catalog:*' : `repository:${repository}:${actions.join(',')}`;
}

/** What of the scopes somebody may have: their roles and the projects of their token decide, and asking adds nothing. */
export function grantScopes(principal: Pick<Principal, 'roles' | 'projects'>, asked: readonly Scope[]): Scope[] {
  return asked.flatMap(({ repository, actions }) => {
    const granted = actions.filter((action) => mayUse(principal, repository, action));
    return granted.length === 0 ? [] : [{ repository, actions: granted }];
  });
}

export function mayUse(
  principal: Pick<Principal, 'roles' | 'projects'>,
  repository: string,
  action: RegistryAction,
): boolean {
  return mayDo(principal.roles, NEEDS[action]) && reaches(principal, projectOfRepository(repository));
}

export function covers(scopes: readonly Scope[], repository: string, action: RegistryAction): boolean {
  return scopes.some((scope) => scope.repository === repository && scope.actions.includes(action));
}

/** A repository is called `<project>/<service>`; one that has no project is reached by tokens without limits alone. */
function projectOfRepository(repository: string): string | null {
  const slash = repository.indexOf('/');
  return slash <= 0 ? null : repository.slice(0, slash);
}
