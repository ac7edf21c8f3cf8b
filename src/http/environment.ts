import { reaches } from '../access/reach.ts';
import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function environmentRoutes(route: Route, { useCases }: Faces): void {
  const { environments } = useCases;
  route('matrix.read', async ({ query, principal }) => {
    const matrix = await useCases.matrix(query.project);
    return { ...matrix, projects: matrix.projects.filter(({ name }) => reaches(principal, name)) };
  });
  route('environment.list', ({ params }) => environments.list(params.project));
  route('environment.show', ({ params }) => environments.show(params.project, params.environment));
  route('environment.rollback', ({ params, body, by }) => environments.rollback({ ...body, ...params }, by));
  route('environment.hold', ({ params, body, by }) =>
    environments.hold(params.project, params.environment, body.reason, by),
  );
  route('environment.resume', ({ params, by }) => environments.resume(params.project, params.environment, by));
  route('environment.stop', ({ params, body, by }) =>
    environments.stop(params.project, params.environment, body.reason, by),
  );
  route('environment.remove', ({ params, by }) => environments.remove(params.project, params.environment, by));
}
