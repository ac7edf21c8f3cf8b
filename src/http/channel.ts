import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

export function channelRoutes(route: Route, { useCases: { channels } }: Faces): void {
  route('channel.list', ({ params }) => channels.list(params.project));
  route('channel.test', ({ params, by }) => channels.test(params.project, params.channel, by));
}
