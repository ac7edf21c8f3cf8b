import { request } from 'undici';
import { z } from 'zod';

import { type Problem, problemOf } from '../../lib/error.ts';
import { isRateLimited, retryAfterMs } from '../../lib/rate-limit.ts';
import { redact } from '../../secret/redact.ts';
import type { Means } from '../messenger.ts';
import { lineWithin } from '../text.ts';
import type { Verdict } from '../verdict.ts';

const TIMEOUT_MS = 15_000;
const MAX_BYTES = 64 * 1024;
const LONGEST_WAIT_MS = 6 * 3_600_000;
const UNSAID_WAIT_MS = 60_000;

/** An address, or a reference to a secret that holds one: some addresses let in whoever knows them. */
export const Address = z
  .string()
  .max(2000, 'at most 2000 characters')
  .refine(
    (text) => isHttp(text) || /^[a-z][a-z0-9-]*:[^/]/.test(text) || text.startsWith('file:/'),
    'http(s)://... or a reference such as env:NAME',
  )
  .refine(
    (text) => !isHttp(text) || (URL.canParse(text) && new URL(text).username === '' && new URL(text).password === ''),
    'an address without a password: a reference to a secret that holds all of it',
  );

export interface Post {
  readonly address: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What must not stand in what is told of a refusal. */
  readonly secrets?: readonly string[];
}

/** The address itself, from wherever it is kept. @throws SecretError */
export async function addressFrom(text: string, { secretOf }: Pick<Means, 'secretOf'>): Promise<string> {
  return isHttp(text) ? text : (await secretOf(text)).trim();
}

/** One POST. Nothing is followed: whoever is sent on would be called without having been looked at. */
export async function post({ address, body, headers, secrets = [] }: Post, means: Means): Promise<Verdict> {
  const url = isHttp(address) && URL.canParse(address) ? new URL(address) : null;
  if (url === null)
    return refused(
      'The address that the channel names is none of http or https.',
      'Correct it, or the secret that holds it.',
    );
  try {
    const response = await request(url, {
      method: 'POST',
      dispatcher: means.agentFor(url),
      headers: { 'user-agent': 'towpath', ...headers },
      body,
      signal: AbortSignal.any([means.signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const said = redact(await readSome(response.body), [address, `${url.pathname}${url.search}`, ...secrets]);
    return judge(response.statusCode, response.headers, said, means.now());
  } catch (error) {
    const problem = problemOf(error);
    if (problem.code.startsWith('outgoing.')) return { kind: 'refused', problem, everything: true };
    return away(`${url.host} does not answer (${reasonOf(error)}).`);
  }
}

function judge(
  status: number,
  headers: Record<string, string | string[] | undefined>,
  said: string,
  nowMs: number,
): Verdict {
  if (status >= 200 && status < 300) return { kind: 'taken' };
  if (isRateLimited(status, headers))
    return { kind: 'wait', untilMs: nowMs + Math.min(retryAfterMs(headers, nowMs) ?? UNSAID_WAIT_MS, LONGEST_WAIT_MS) };
  const words = lineWithin(said, 200);
  const what = `The receiver answered ${status}${words === '' ? '' : `: ${words}`}.`;
  if (status >= 500 || status === 408) return away(what);
  if (status >= 300 && status < 400)
    return refused(
      `The receiver sends on to another address (${status}), and nothing is followed.`,
      'Name the address that it sends on to.',
    );
  return refused(what, 'Look whether the address and its secret are still those that the receiver knows.');
}

async function readSome(body: AsyncIterable<unknown> & { destroy(): unknown }): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk as Uint8Array);
    chunks.push(bytes);
    if ((size += bytes.length) < MAX_BYTES) continue;
    body.destroy();
    break;
  }
  return Buffer.concat(chunks).toString('utf8').slice(0, 2000);
}

function away(what: string): Verdict {
  return { kind: 'away', problem: problem('notify.away', what, 'Nothing is to be done: it is tried again by itself.') };
}

function refused(what: string, fix: string): Verdict {
  return { kind: 'refused', problem: problem('notify.refused', what, fix), everything: true };
}

function problem(code: string, what: string, fix: string): Problem {
  return { code, what, fix };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

function isHttp(text: string): boolean {
  return /^https?:\/\//i.test(text);
}
