import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function reportRoutes(route: Route, { useCases: { reports } }: Faces): void {
  route('artifact.report', ({ params, body, principal }) =>
    reports.make({ ...body, project: params.project }, principal.user, principal.identity),
  );
  route('report.show', ({ params }) => reports.show(params.project, params.report));
  route('report.list', ({ params }) => reports.list(params.project));
}
