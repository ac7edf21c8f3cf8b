import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function registryRoutes(route: Route, { useCases: { registry } }: Faces): void {
  route('registry.sweep', ({ body, by }) => registry.sweep(body, by));
}
