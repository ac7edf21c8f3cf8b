import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function pactRoutes(route: Route, { useCases: { pacts } }: Faces): void {
  route('pact.list', ({ params }) => pacts.list(params.project));
  route('pact.matrix', ({ params }) => pacts.matrix(params.project));
}
