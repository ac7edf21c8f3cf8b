import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function keyRoutes(route: Route, { useCases: { keys } }: Faces): void {
  route('key.list', () => keys.list());
  route('key.rotate', ({ by }) => keys.rotate(by));
  route('key.revoke', ({ body: { key, reason }, by }) => keys.revoke(key, reason, by));
}
