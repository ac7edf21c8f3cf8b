import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function pathRoutes(route: Route, { useCases }: Faces): void {
  route('path.why', ({ params, query: { subject, environment, at } }) =>
    useCases.why(params.project, subject, {
      ...(environment === undefined ? {} : { environment }),
      ...(at === undefined ? {} : { at: new Date(at) }),
    }),
  );
  route('path.diff', ({ params, query }) => useCases.diff(params.project, query.from, query.to));
  route('path.lineage', ({ params, query }) => useCases.lineage(params.project, query.subject));
  route('audit.list', ({ query: { subject, ...page } }) =>
    useCases.audit.list(subject === undefined ? page : { ...page, subject }),
  );
}
