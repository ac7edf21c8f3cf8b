import { setTimeout as pause } from 'node:timers/promises';

import { request as ask } from 'undici';
import { z } from 'zod';

import { listOf, Wait } from '../../../lib/fields.ts';
import { checkKind, type CheckAnswer } from '../../kind.ts';

const BODY_LIMIT_BYTES = 1024 * 1024;

const Status = z.int().min(100).max(599);

const fields = {
  http: z
    .strictObject({
      path: z.string().regex(/^\/[^\s\p{Cc}]*$/u, 'a path that begins with a slash'),
      method: z.enum(['GET', 'HEAD']).default('GET'),
      status: listOf(Status).default([200]).describe('The status, or several, that count as an answer (200)'),
      contains: z.string().min(1).optional().describe('A text that the body must hold'),
      headers: z
        .record(
          z.string().regex(/^[A-Za-z0-9-]+$/, 'the name of a header'),
          z.string().regex(/^[^\p{Cc}]*$/u, 'plain text'),
        )
        .default({}),
      attempts: z.int().min(1).max(100).default(3).describe('How often it is tried before it fails (3)'),
      interval: Wait.default(500).describe('Between two tries (500ms)'),
    })
    .describe('A request to the service in its environment'),
};

type Probe = z.output<typeof fields.http>;

/** A request to the deployed service: it must answer with the right status and text. Redirects are answers, not followed. */
export const httpProbe = checkKind({
  name: 'http-probe',
  type: 'smoke',
  version: '1',
  fields,
  during: ['deployment'],
  inputs: () => [],
  async ask({ definition: { http }, service, urls, log, signal, timeoutMs }) {
    const base = urls[service];
    if (base === undefined) return { verdict: 'error', summary: `service "${service}" has no URL here` };
    const deadline = AbortSignal.timeout(timeoutMs);
    const either = AbortSignal.any([signal, deadline]);
    let last: CheckAnswer = { verdict: 'error', summary: 'it was not done in time' };
    for (let attempt = 1; attempt <= http.attempts; attempt++) {
      if (attempt > 1) await pause(http.interval, undefined, { signal: either }).catch(() => undefined);
      if (either.aborted) break;
      last = await probeOnce(http, base, either);
      if (last.verdict === 'passed') return last;
      log(`try ${attempt} of ${http.attempts}: ${last.summary}`);
    }
    signal.throwIfAborted();
    return last;
  },
});

async function probeOnce(http: Probe, base: string, signal: AbortSignal): Promise<CheckAnswer> {
  const where = `${http.method} ${http.path}`;
  let answer: { readonly status: number; readonly body: string };
  try {
    // the path is put behind the origin: resolved against it, `//other.host` would leave the service
    const response = await ask(`${new URL(base).origin}${http.path}`, {
      method: http.method,
      headers: http.headers,
      signal,
    });
    answer = { status: response.statusCode, body: await textOf(response.body) };
  } catch (error) {
    if (signal.aborted) return { verdict: 'error', summary: `${where} was not answered in time` };
    return { verdict: 'failed', summary: `${where} was not answered (${codeOf(error)})` };
  }
  if (!http.status.includes(answer.status))
    return { verdict: 'failed', summary: `${where} gave ${answer.status}, not ${http.status.join(' or ')}` };
  if (http.contains !== undefined && !answer.body.includes(http.contains))
    return { verdict: 'failed', summary: `${where} gave ${answer.status} without the text that must be there` };
  return { verdict: 'passed', summary: `${where} gave ${answer.status}` };
}

/** At most the first mebibyte: a stream without end is no reason to wait. */
async function textOf(body: AsyncIterable<unknown> & { destroy(): unknown }): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size >= BODY_LIMIT_BYTES) break;
  }
  body.destroy();
  return Buffer.concat(chunks).toString();
}

function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code;
  return 'the connection failed';
}
