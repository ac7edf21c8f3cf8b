import { TowpathError } from '../lib/error.ts';
import { rolesWith, type Permission } from './permission.ts';

/** `access.*`: who somebody is, or what they may do. */
export class AccessError extends TowpathError {}

export function unknownCaller(): AccessError {
  return new AccessError({
    code: 'access.unauthenticated',
    what: 'This needs a token, and none that is valid was sent.',
    fix: 'Set TOWPATH_TOKEN (or --token-file), or run the command where the data directory is; `towpath open` opens the page.',
  });
}

/** To a client of the registry: it reads neither our variables nor our flags. */
export function unknownClient(): AccessError {
  return new AccessError({
    code: 'access.unauthenticated',
    what: 'The registry needs a token, and none that is valid was sent.',
    fix: 'Log in with `docker login`, `skopeo login` or the like: any user name, and the token as the password.',
  });
}

export function notAllowed(user: string, permission: Permission): AccessError {
  return new AccessError({
    code: 'access.forbidden',
    what: `${user} lacks the permission ${permission}.`,
    fix: `Ask for a token with one of the roles ${rolesWith(permission).join(', ')}.`,
  });
}

export function outOfReach({ user, projects }: { user: string; projects: readonly string[] | null }): AccessError {
  return new AccessError({
    code: 'access.forbidden',
    what: `The token of ${user} is limited to ${(projects ?? []).join(', ')}, and this is not of that.`,
    fix: 'Name that project (`--project`), or ask for a token without the limit, or for another project.',
  });
}
