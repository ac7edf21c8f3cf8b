/**
 * What one may be allowed to do. A permission is `noun:verb`; a route, a command and an event stream each need exactly
 * one (see `operation.ts`). `public` is the only way to need none, and it has to be written down too.
 */
export const PERMISSIONS = {
  'path:read': 'See projects, releases, environments, evidence, logs and why something waits.',
  'output:read': 'Read what services print where they run.',
  'project:refresh': 'Ask a repository for its refs now, instead of at the next poll.',
  'project:change': 'Add projects, and say by which references to secrets their repositories are reached.',
  'project:remove': 'End a project with all that runs in it.',
  'release:mix': 'Cut a release that takes services from several commits.',
  'release:yank': 'Bar a release everywhere, and allow it again.',
  'release:retry': 'Build once more what failed to build.',
  'release:test': 'Ask the checks of a release again.',
  'artifact:report': 'Report what another CI built, and see what became of the report.',
  'base:refresh': 'Move the pins of base images to what their references mean today.',
  'promotion:request': 'Ask to bring a release into an environment, and cancel a promotion.',
  'promotion:decide': 'Approve or reject. Whose word counts is said by the gate in the path of the protected branch.',
  'environment:rollback': 'Bring an earlier release back.',
  'environment:hold': 'Pin an environment, and let it move again.',
  'environment:stop': 'Take down what runs in an environment.',
  'environment:remove': 'End a preview before its time, or an environment that the path names no more.',
  'registry:pull': 'Read images from the embedded registry.',
  'registry:push': 'Write images to the embedded registry.',
  'registry:sweep': 'Remove from the registry what nothing needs.',
  'key:manage': 'Change the key by which statements are signed, and revoke one.',
  'audit:read': 'See who did what.',
  'access:self': 'Know who one is; open the page as oneself.',
  'access:manage': 'Create, list and revoke tokens.',
} as const;

export type Permission = keyof typeof PERMISSIONS;

const READING = ['path:read', 'registry:pull', 'access:self'] as const satisfies Permission[];

const DEVELOPING = [
  ...READING,
  'output:read',
  'project:refresh',
  'release:mix',
  'release:retry',
  'release:test',
  'base:refresh',
  'promotion:request',
  'promotion:decide',
  'environment:rollback',
  'environment:hold',
] as const satisfies Permission[];

/** Server roles. The roles that an approval gate names (`release-managers`) are others: they stand in `towpath.yaml`. */
export const ROLES = {
  /** For the CI that builds a service elsewhere: it reports, and sees nothing else. */
  ci: ['artifact:report', 'access:self'],
  viewer: READING,
  approver: [...READING, 'promotion:decide'],
  developer: DEVELOPING,
  operator: [
    ...DEVELOPING,
    'project:change',
    'artifact:report',
    'release:yank',
    'environment:stop',
    'environment:remove',
    'registry:push',
    'registry:sweep',
    'audit:read',
  ],
  admin: Object.keys(PERMISSIONS).filter(isPermission),
} as const satisfies Record<string, readonly Permission[]>;

export type Role = keyof typeof ROLES;

export function isRole(text: string): text is Role {
  return Object.hasOwn(ROLES, text);
}

function isPermission(text: string): text is Permission {
  return Object.hasOwn(PERMISSIONS, text);
}

/** Default deny: a role that is unknown here (an older or newer server wrote it) grants nothing. */
export function mayDo(roles: readonly string[], permission: Permission): boolean {
  return roles.some((role) => isRole(role) && permissionsOf(role).includes(permission));
}

export function permissionsOf(role: Role): readonly Permission[] {
  return ROLES[role];
}

/** The roles that would be enough, smallest first: for the sentence that tells a refused person what to ask for. */
export function rolesWith(permission: Permission): Role[] {
  return Object.keys(ROLES)
    .filter(isRole)
    .filter((role) => mayDo([role], permission));
}
