import { request } from 'undici';
import type { z } from 'zod';

import { hasCode } from '../../lib/error.ts';
import { readUpTo } from '../../lib/read-up-to.ts';
import { CheckError } from '../error.ts';
import type { OutsideServer } from '../server.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

/** A server beside Towpath, as people know it. */
export interface Outside {
  readonly name: string;
  /** Under `servers` in towpath.yaml. */
  readonly key: string;
  /** Whose token it has to be. */
  readonly whose: string;
  /** What of the token stands in a request. */
  readonly authorization: (token: string) => string;
}

export interface OutsideQuestion<Answer> {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly schema: z.ZodType<Answer>;
}

/**
 * Asks a server beside Towpath something.
 * @returns its answer; a number for a status by which it says that it has none (400, 404)
 * @throws CheckError `check.server-refused`, `check.server-unavailable`; TowpathError `outgoing.refused`
 */
export async function askOutside<Answer>(
  server: OutsideServer,
  who: Outside,
  { path, query, schema }: OutsideQuestion<Answer>,
  signal: AbortSignal,
): Promise<Answer | 400 | 404> {
  const url = new URL(`${path}?${query.toString()}`, server.url.replace(/\/*$/, '/'));
  const authorization = who.authorization(await server.token());
  const unavailable = (why: string): CheckError => unavailableOf(who, server.url, why);
  try {
    const { statusCode, body } = await request(url, {
      dispatcher: server.agentFor(url),
      headers: { authorization, accept: 'application/json', 'user-agent': 'towpath' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const bytes = await readUpTo(body, MAX_BYTES);
    if (statusCode === 400 || statusCode === 404) return statusCode;
    if (statusCode === 401 || statusCode === 403) throw refused(who, server.url, statusCode);
    if (statusCode !== 200) throw unavailable(`it answered ${statusCode}`);
    if (bytes === null) throw unavailable(`it answered more than ${MAX_BYTES / 1024 / 1024} MiB`);
    const answer = schema.safeParse(JSON.parse(bytes.toString('utf8')));
    if (!answer.success) throw unavailable(`it answered ${path} in another shape than ${who.name} does`);
    return answer.data;
  } catch (error) {
    signal.throwIfAborted();
    if (hasCode(error, 'check.server-unavailable', 'check.server-refused', 'outgoing.refused')) throw error;
    if (error instanceof SyntaxError) throw unavailable('it answered something that is not JSON');
    throw unavailable(`it does not answer (${reasonOf(error)})`);
  }
}

export function unavailableOf({ name, key }: Outside, url: string, why: string): CheckError {
  return new CheckError({
    code: 'check.server-unavailable',
    what: `${name} at ${url} cannot be asked: ${why}.`,
    fix: `It is asked again. See that it runs, and that \`servers.${key}.url\` in towpath.yaml is its address.`,
  });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

function refused({ name, key, whose }: Outside, url: string, status: number): CheckError {
  return new CheckError({
    code: 'check.server-refused',
    what: `${name} at ${url} refused the token (${status}).`,
    fix: `Make a token of ${whose}, and put it where \`servers.${key}.token\` in towpath.yaml points.`,
  });
}
