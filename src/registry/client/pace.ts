import type { Dispatcher } from 'undici';

import { RegistryError } from '../error.ts';
import type { AgentFor } from './transport.ts';

/** The least that the body of an answer has to bring while it is waited for. */
export interface Pace {
  readonly bytes: number;
  readonly windowMs: number;
  /** Milliseconds since some moment. */
  readonly elapsed: () => number;
}

/** 1 KiB a second, of what we ask for and of what is sent to us: limits for the gap between two pieces alone let a body of a byte a second go on for ever. */
export const PACE: Pace = { bytes: 60 * 1024, windowMs: 60_000, elapsed: () => performance.now() };

/**
 * Ends answers whose bodies bring less than the pace. Time in which whoever reads was behind does not count.
 * @throws RegistryError `registry.unreachable`, through the body
 */
export function atPace(pace: Pace, agentFor: AgentFor): AgentFor {
  return (url) =>
    agentFor(url).compose((dispatch) => (options, handler) => dispatch(options, watched(handler, pace, url)));
}

function watched(
  handler: Dispatcher.DispatchHandler,
  { bytes, windowMs, elapsed }: Pace,
  url: URL,
): Dispatcher.DispatchHandler {
  /** Null: the window begins with the next piece. */
  let since: number | null = null;
  let got = 0;
  return {
    onRequestStart: (...given) => handler.onRequestStart?.(...given),
    onRequestUpgrade: (...given) => handler.onRequestUpgrade?.(...given),
    onResponseStart: (...given) => handler.onResponseStart?.(...given),
    onResponseData: (controller, chunk) => {
      const now = elapsed();
      if (since !== null && now - since >= windowMs) {
        if (got + chunk.length < bytes) return controller.abort(tooSlow(url));
        since = null;
      }
      got = since === null ? 0 : got + chunk.length;
      since ??= now;
      handler.onResponseData?.(controller, chunk);
      if (controller.paused) since = null;
    },
    onResponseEnd: (...given) => handler.onResponseEnd?.(...given),
    onResponseError: (...given) => handler.onResponseError?.(...given),
  };
}

function tooSlow({ host }: URL): RegistryError {
  return new RegistryError({
    code: 'registry.unreachable',
    what: `${host} sends less than 1 KiB a second.`,
    fix: 'Check the connection to it and its log; the work can be tried again.',
  });
}
