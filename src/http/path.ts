import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function pathRoutes(route: Route, { useCases }: Faces): void {
  route('path.why', ({ params, query }) => useCases.why(params.project, query.subject));
  route('path.diff', ({ params, query }) => useCases.diff(params.project, query.from, query.to));
  route('path.lineage', ({ params, query }) => useCases.lineage(params.project, query.subject));
  route('audit.list', ({ query: { subject, ...page } }) =>
    useCases.audit.list(subject === undefined ? page : { ...page, subject }),
  );
}
