import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function baseRoutes(route: Route, { useCases: { bases } }: Faces): void {
  route('base.list', ({ params }) => bases.list(params.project));
  route('base.refresh', ({ params, body, by }) => bases.refresh({ ...body, project: params.project }, by));
}
