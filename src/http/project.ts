import { reaches } from '../access/reach.ts';
import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function projectRoutes(route: Route, { useCases: { projects } }: Faces): void {
  route('project.list', async ({ principal }) =>
    (await projects.list()).filter(({ name }) => reaches(principal, name)),
  );
  route('project.add', ({ body, by }) => projects.add(body, by));
  route('project.show', ({ params }) => projects.show(params.project));
  route('project.change', ({ params, body, by }) => projects.change(params.project, body, by));
  route('project.remove', ({ params, by }) => projects.remove(params.project, by));
  route('project.refresh', ({ params, by }) => projects.refresh(params.project, by));
}
