import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function releaseRoutes(route: Route, { useCases: { releases } }: Faces): void {
  route('release.list', ({ params, query }) => releases.list(params.project, query));
  route('release.show', ({ params }) => releases.show(params.project, params.release));
  route('release.mix', ({ params, body, by }) => releases.mix({ ...body, project: params.project }, by));
  route('release.yank', ({ params, body, by }) => releases.yank(params.project, params.release, body.reason, by));
  route('release.unyank', ({ params, by }) => releases.unyank(params.project, params.release, by));
  route('release.retry', ({ params, by }) => releases.retry(params.project, params.release, by));
  route('release.test', ({ params, body, by }) => releases.test(params.project, params.release, body.check, by));
}
