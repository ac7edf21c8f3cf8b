import type { Principal } from './credential.ts';
import { operationOf, type OperationName } from './operation.ts';

/**
 * Operations whose route names no project, and that a limited token may ask for all the same: their handlers show only
 * what is within reach, or look at the project of what is asked for.
 */
const BY_HANDLER: ReadonlySet<OperationName> = new Set([
  'matrix.read',
  'event.follow',
  'project.list',
  'promotion.show',
  'promotion.approve',
  'promotion.reject',
  'promotion.cancel',
  'log.read',
  'log.follow',
]);

/** Default deny: a limited token is let in to a project of its own and to itself, and to nothing of the installation. */
export function isWithin(principal: Principal, operation: OperationName, project: string | null): boolean {
  if (principal.projects === null) return true;
  const { needs, route } = operationOf(operation);
  if (needs === 'public' || needs === 'access:self') return true;
  if (project === null) return BY_HANDLER.has(operation);
  return (BY_HANDLER.has(operation) || route.includes('/:project')) && reaches(principal, project);
}

/** @param project by name; null for what belongs to none */
export function reaches({ projects }: Pick<Principal, 'projects'>, project: string | null): boolean {
  return projects === null || (project !== null && projects.includes(project));
}
