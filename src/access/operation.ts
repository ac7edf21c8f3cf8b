import type { Permission } from './permission.ts';

/** One thing that can be asked of the server. `public` needs no token, and says in `because` what protects it instead. */
export type Access = { readonly needs: Permission } | { readonly needs: 'public'; readonly because: string };

export type Operation = Access & {
  /** Method and path, as the router writes it. */
  readonly route: `${'GET' | 'POST' | 'PUT' | 'DELETE'} /${string}`;
  readonly summary: string;
};

/**
 * The one table of what can be asked and what one needs for it. The router refuses to start with a route that is not
 * in it, the OpenAPI file prints it, the command line finds its routes here, and the tests walk over it.
 */
export const OPERATIONS = {
  'matrix.read': {
    route: 'GET /api/v1/matrix',
    needs: 'path:read',
    summary: 'Services x environments: what runs where, and what waits',
  },
  'event.follow': {
    route: 'GET /api/v1/events',
    needs: 'path:read',
    summary: 'Changes as server-sent events, resumable by Last-Event-ID',
  },
  'project.list': { route: 'GET /api/v1/projects', needs: 'path:read', summary: 'All projects' },
  'project.add': { route: 'POST /api/v1/projects', needs: 'project:change', summary: 'Watch one more repository' },
  'project.show': { route: 'GET /api/v1/projects/:project', needs: 'path:read', summary: 'One project' },
  'project.change': {
    route: 'PUT /api/v1/projects/:project/access',
    needs: 'project:change',
    summary: 'Say by which references to secrets the repository is reached and its webhooks are signed',
  },
  'project.remove': {
    route: 'DELETE /api/v1/projects/:project',
    needs: 'project:remove',
    summary: 'Watch a project no more, and end every environment of it',
  },
  'project.refresh': {
    route: 'POST /api/v1/projects/:project/refresh',
    needs: 'project:refresh',
    summary: 'Poll the repository now',
  },
  'release.list': {
    route: 'GET /api/v1/projects/:project/releases',
    needs: 'path:read',
    summary: 'Releases, newest first',
  },
  'release.show': {
    route: 'GET /api/v1/projects/:project/releases/:release',
    needs: 'path:read',
    summary: 'One release by id, number, ref or commit',
  },
  'release.mix': {
    route: 'POST /api/v1/projects/:project/releases',
    needs: 'release:mix',
    summary: 'Cut a mixed release: services from several commits',
  },
  'release.yank': {
    route: 'POST /api/v1/projects/:project/releases/:release/yank',
    needs: 'release:yank',
    summary: 'Bar a release everywhere, with a reason',
  },
  'release.unyank': {
    route: 'POST /api/v1/projects/:project/releases/:release/unyank',
    needs: 'release:yank',
    summary: 'Allow a yanked release again',
  },
  'release.retry': {
    route: 'POST /api/v1/projects/:project/releases/:release/retry',
    needs: 'release:retry',
    summary: 'Build again what failed in a release',
  },
  'release.test': {
    route: 'POST /api/v1/projects/:project/releases/:release/tests',
    needs: 'release:test',
    summary: 'Ask the checks of a release again; the newer answer counts',
  },
  'evidence.show': {
    route: 'GET /api/v1/projects/:project/evidence/:evidence',
    needs: 'path:read',
    summary: "A check's answer, and the files that its run has left",
  },
  'evidence.file': {
    route: 'GET /api/v1/projects/:project/evidence/:evidence/file',
    needs: 'path:read',
    summary: 'A file that the run of a check has left, to be saved; a picture to be shown',
  },
  'artifact.report': {
    route: 'POST /api/v1/projects/:project/reports',
    needs: 'artifact:report',
    summary: 'Report what another CI built of a service at a commit',
  },
  'report.show': {
    route: 'GET /api/v1/projects/:project/reports/:report',
    needs: 'artifact:report',
    summary: 'One report: whether it was accepted, or why not',
  },
  'report.list': {
    route: 'GET /api/v1/projects/:project/reports',
    needs: 'path:read',
    summary: 'The newest reports of other CIs',
  },
  'channel.list': {
    route: 'GET /api/v1/projects/:project/channels',
    needs: 'path:read',
    summary: 'Channels by which people are told, and how that goes',
  },
  'channel.test': {
    route: 'POST /api/v1/projects/:project/channels/:channel/test',
    needs: 'project:change',
    summary: 'Send a message by a channel that says it is a test',
  },
  'base.list': {
    route: 'GET /api/v1/projects/:project/bases',
    needs: 'path:read',
    summary: 'Base services and pins of outside base images, and what runs upon an old one',
  },
  'base.refresh': {
    route: 'POST /api/v1/projects/:project/bases/refresh',
    needs: 'base:refresh',
    summary: 'Move pins to what their references mean today, and plan the default branch anew',
  },
  'pact.list': {
    route: 'GET /api/v1/projects/:project/pacts',
    needs: 'path:read',
    summary: 'The newest pacts: what services expect of each other',
  },
  'pact.matrix': {
    route: 'GET /api/v1/projects/:project/pacts/matrix',
    needs: 'path:read',
    summary: 'For each environment, whether what runs there keeps to what runs beside it expects',
  },
  'registry.sweep': {
    route: 'POST /api/v1/registry/sweep',
    needs: 'registry:sweep',
    summary: 'Remove from the registry what nothing needs; or say what would go, and why the rest stays',
  },
  'promotion.request': {
    route: 'POST /api/v1/projects/:project/environments/:environment/promotions',
    needs: 'promotion:request',
    summary: 'Bring a release, or a mix, into an environment',
  },
  'promotion.list': {
    route: 'GET /api/v1/projects/:project/promotions',
    needs: 'path:read',
    summary: 'Promotions, newest first, into one environment or all',
  },
  'promotion.show': { route: 'GET /api/v1/promotions/:promotion', needs: 'path:read', summary: 'One promotion' },
  'promotion.approve': {
    route: 'POST /api/v1/promotions/:promotion/approve',
    needs: 'promotion:decide',
    summary: 'Approve a promotion that waits for it',
  },
  'promotion.reject': {
    route: 'POST /api/v1/promotions/:promotion/reject',
    needs: 'promotion:decide',
    summary: 'Reject a promotion that waits for approval',
  },
  'promotion.cancel': {
    route: 'POST /api/v1/promotions/:promotion/cancel',
    needs: 'promotion:request',
    summary: 'Cancel a promotion that has not ended',
  },
  'environment.list': {
    route: 'GET /api/v1/projects/:project/environments',
    needs: 'path:read',
    summary: 'Environments in the order of the path, previews last',
  },
  'environment.show': {
    route: 'GET /api/v1/projects/:project/environments/:environment',
    needs: 'path:read',
    summary: 'One environment: its trigger, gates, services and history',
  },
  'environment.rollback': {
    route: 'POST /api/v1/projects/:project/environments/:environment/rollback',
    needs: 'environment:rollback',
    summary: 'Bring an earlier release back and hold the environment',
  },
  'environment.hold': {
    route: 'POST /api/v1/projects/:project/environments/:environment/hold',
    needs: 'environment:hold',
    summary: 'Pin an environment: nothing moves in by itself',
  },
  'environment.resume': {
    route: 'POST /api/v1/projects/:project/environments/:environment/resume',
    needs: 'environment:hold',
    summary: 'Let a held environment move again',
  },
  'environment.stop': {
    route: 'POST /api/v1/projects/:project/environments/:environment/stop',
    needs: 'environment:stop',
    summary: 'Take down what runs in an environment, and hold it',
  },
  'environment.remove': {
    route: 'DELETE /api/v1/projects/:project/environments/:environment',
    needs: 'environment:remove',
    summary: 'End a preview, or an environment that the path names no more, and all that runs in it',
  },
  'path.why': {
    route: 'GET /api/v1/projects/:project/why',
    needs: 'path:read',
    summary: 'Why something waits, was refused, or runs where it does',
  },
  'path.diff': {
    route: 'GET /api/v1/projects/:project/diff',
    needs: 'path:read',
    summary: 'What differs between two environments or releases, service by service',
  },
  'path.lineage': {
    route: 'GET /api/v1/projects/:project/lineage',
    needs: 'path:read',
    summary: 'From commit to environment and back',
  },
  'log.read': { route: 'GET /api/v1/logs/:log', needs: 'path:read', summary: 'The lines of a log so far' },
  'log.follow': {
    route: 'GET /api/v1/logs/:log/follow',
    needs: 'path:read',
    summary: 'The lines of a log as server-sent events, until it ends',
  },
  'output.follow': {
    route: 'GET /api/v1/projects/:project/environments/:environment/services/:service/output',
    needs: 'output:read',
    summary: 'What a service prints, without its secrets, as server-sent events',
  },
  'key.list': {
    route: 'GET /api/v1/keys',
    needs: 'path:read',
    summary: 'The public keys by which signed statements are verified, the newest first',
  },
  'key.rotate': {
    route: 'POST /api/v1/keys',
    needs: 'key:manage',
    summary: 'Sign with a new key from now on; what the one before signed stays true',
  },
  'key.revoke': {
    route: 'POST /api/v1/keys/revoke',
    needs: 'key:manage',
    summary: 'Let nothing count that a key signed, and state it anew',
  },
  'audit.list': { route: 'GET /api/v1/audit', needs: 'audit:read', summary: 'Who did what, newest first' },
  'token.list': { route: 'GET /api/v1/tokens', needs: 'access:manage', summary: 'Tokens, without their secrets' },
  'token.create': {
    route: 'POST /api/v1/tokens',
    needs: 'access:manage',
    summary: 'Create a token; its secret is shown once',
  },
  'identity.exchange': {
    route: 'POST /api/v1/identity-tokens',
    needs: 'public',
    because:
      'The identity token in the body is the proof: its issuer signed it, and towpath.yaml names whom it trusts.',
    summary: 'Exchange the identity token of a CI (OpenID Connect) for a token of an hour that reports',
  },
  'token.revoke': { route: 'DELETE /api/v1/tokens/:token', needs: 'access:manage', summary: 'Revoke a token' },
  'access.me': { route: 'GET /api/v1/me', needs: 'access:self', summary: 'Who am I, and what may I do' },
  'session.invite': {
    route: 'POST /api/v1/session-codes',
    needs: 'access:self',
    summary: 'A one-time code that opens the page as oneself',
  },
  'session.open': {
    route: 'POST /api/v1/sessions',
    needs: 'public',
    because: 'The one-time code in the body is the proof; it works once, for two minutes.',
    summary: 'Exchange a one-time code for a session cookie',
  },
  'session.close': { route: 'DELETE /api/v1/sessions', needs: 'access:self', summary: 'End the page session' },
  'server.health': {
    route: 'GET /api/v1/health',
    needs: 'public',
    because: 'It says only that the server answers, and its version.',
    summary: 'Is the server there',
  },
  'server.ready': {
    route: 'GET /api/v1/ready',
    needs: 'public',
    because: 'It says only whether the server can work, and its version.',
    summary: 'Does its database answer: 503 while it does not',
  },
  'server.openapi': {
    route: 'GET /api/v1/openapi.json',
    needs: 'public',
    because: 'It is the same for all servers of this version and holds no data.',
    summary: 'This description',
  },
  'webhook.receive': {
    route: 'POST /hooks/:repository',
    needs: 'public',
    because: 'Each delivery is signed with the secret of its repository, and it only wakes the poll.',
    summary: 'A signed hint that a repository has changed',
  },
  'analysis.receive': {
    route: 'POST /hooks/:repository/analyses',
    needs: 'public',
    because: 'Each delivery is signed with the secret that the project names, and it only wakes whoever waits.',
    summary: 'A signed hint that a server which checks ask has worked',
  },
  'page.show': {
    route: 'GET /',
    needs: 'public',
    because: 'The page holds no data; it asks the API, which needs a session.',
    summary: 'The page',
  },
  'page.asset': {
    route: 'GET /page/:file',
    needs: 'public',
    because: 'The scripts and styles of the page hold no data.',
    summary: 'Scripts and styles of the page',
  },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;

export const OPERATION_NAMES = Object.keys(OPERATIONS).filter(isOperationName);

export function operationOf(name: OperationName): Operation {
  return OPERATIONS[name];
}

/** @returns null for a route that nobody has entered in the table, which therefore must not exist */
export function operationAt(method: string, path: string): OperationName | null {
  return OPERATION_NAMES.find((name) => OPERATIONS[name].route === `${method} ${path}`) ?? null;
}

function isOperationName(text: string): text is OperationName {
  return Object.hasOwn(OPERATIONS, text);
}
