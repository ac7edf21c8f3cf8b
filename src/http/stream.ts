import type { FastifyInstance, FastifyRequest } from 'fastify';

import { outOfReach } from '../access/access-error.ts';
import type { Principal } from '../access/credential.ts';
import { reaches } from '../access/reach.ts';
import type { EventView, LogBatch, OutputBatch, UseCases } from '../flow/use-cases.ts';
import { streamEvents, type StreamItem } from './event-stream.ts';
import type { Faces } from './faces.ts';
import type { Route } from './router.ts';
import { Event, Log, Output } from './view/path.ts';

const HEARTBEAT_MS = 15_000;
const MAX_AGE_MS = 10 * 60_000;

export function streamRoutes(
  route: Route,
  { useCases, heartbeatMs = HEARTBEAT_MS, maxAgeMs = MAX_AGE_MS }: Faces,
  server: FastifyInstance,
): void {
  const stop = new AbortController();
  server.addHook('preClose', async () => stop.abort());
  const options = { stopping: stop.signal, heartbeatMs, maxAgeMs };

  route('event.follow', ({ query, principal, request, reply }) => {
    const concerns = ({ project }: EventView) =>
      reaches(principal, project) && (query.project === undefined || project === null || project === query.project);
    return streamEvents(reply, options, (signal) =>
      changes(useCases, lastSeen(request, query.after), concerns, signal),
    );
  });
  const withinReach = async (principal: Principal, log: string): Promise<void> => {
    if (principal.projects === null) return;
    const projects = await useCases.logs.projectsOf(log);
    if (!projects.some((project) => reaches(principal, project))) throw outOfReach(principal);
  };
  route('log.read', async ({ params, query, principal }) => {
    await withinReach(principal, params.log);
    return useCases.logs.read(params.log, query.after);
  });
  route('log.follow', async ({ params, query, principal, request, reply }) => {
    await withinReach(principal, params.log);
    const after = lastSeen(request, query.after);
    await useCases.logs.read(params.log, after); // a log that is not there is a 404, not a stream that breaks
    return streamEvents(reply, options, (signal) => batches(useCases, params.log, after, signal));
  });
  route('output.follow', async ({ params, query, request, reply }) => {
    const follow = query.follow === 'true';
    const wish = { tail: query.tail, follow, after: lastSeen(request, query.after) };
    // what cannot be read is a problem with a status, not a stream that breaks
    const output = await useCases.output.open(params.project, params.environment, params.service);
    return streamEvents(reply, options, (signal) => printed(output(wish, signal)));
  });
}

/** A browser that reconnects says by itself where it was. */
function lastSeen(request: FastifyRequest, after: string | undefined): string | undefined {
  const header = request.headers['last-event-id'];
  return typeof header === 'string' && header !== '' ? header : after;
}

async function* changes(
  useCases: UseCases,
  after: string | undefined,
  concerns: (event: EventView) => boolean,
  signal: AbortSignal,
): AsyncIterable<StreamItem> {
  for await (const event of useCases.events.follow(after, signal)) if (concerns(event)) yield changeOf(event);
}

async function* batches(
  useCases: UseCases,
  log: string,
  after: string | undefined,
  signal: AbortSignal,
): AsyncIterable<StreamItem> {
  for await (const batch of useCases.logs.follow(log, after, signal)) {
    yield lineItem(batch);
    if (batch.ended) return;
  }
}

async function* printed(batches: AsyncIterable<OutputBatch>): AsyncIterable<StreamItem> {
  for await (const batch of batches) yield { id: batch.seq, event: 'lines', data: Output.parse(batch) };
}

/** Streams pass no serialiser of the framework, so the schemas are applied here: what they do not name stays inside. */
function changeOf(event: EventView): StreamItem {
  return { id: event.id, event: 'change', data: Event.parse(event) };
}

function lineItem(batch: LogBatch): StreamItem {
  return { id: batch.seq, event: 'lines', data: Log.parse(batch) };
}
