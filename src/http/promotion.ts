import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function promotionRoutes(route: Route, { useCases: { promotions } }: Faces): void {
  route('promotion.request', ({ params, body, by }) => promotions.request({ ...body, ...params }, by));
  route('promotion.list', ({ params, query: { environment, ...page } }) =>
    promotions.list(params.project, environment === undefined ? page : { ...page, environment }),
  );
  const found = async (id: string, within: (project: string) => void) => {
    const promotion = await promotions.show(id);
    within(promotion.project);
    return promotion;
  };
  route('promotion.show', ({ params, within }) => found(params.promotion, within));
  route('promotion.approve', async ({ params, body, by, within }) => {
    await found(params.promotion, within);
    return promotions.approve(params.promotion, body.comment, by);
  });
  route('promotion.reject', async ({ params, body, by, within }) => {
    await found(params.promotion, within);
    return promotions.reject(params.promotion, body.comment, by);
  });
  route('promotion.cancel', async ({ params, by, within }) => {
    await found(params.promotion, within);
    return promotions.cancel(params.promotion, by);
  });
}
