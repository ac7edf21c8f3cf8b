import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function promotionRoutes(route: Route, { useCases: { promotions } }: Faces): void {
  route('promotion.request', ({ params, body, by }) => promotions.request({ ...body, ...params }, by));
  route('promotion.list', ({ params, query: { environment, ...page } }) =>
    promotions.list(params.project, environment === undefined ? page : { ...page, environment }),
  );
  route('promotion.show', ({ params }) => promotions.show(params.promotion));
  route('promotion.approve', ({ params, body, by }) => promotions.approve(params.promotion, body.comment, by));
  route('promotion.reject', ({ params, body, by }) => promotions.reject(params.promotion, body.comment, by));
  route('promotion.cancel', ({ params, by }) => promotions.cancel(params.promotion, by));
}
