import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { hashOfJson } from '../lib/digest.ts';
import { CONTRACT, type Exchange } from './contract.ts';
import { HttpError } from './http-error.ts';

/** An answer as it was sent the first time. */
export interface KeptAnswer {
  readonly status: number;
  readonly body: string;
}

export type Claim =
  | { readonly kind: 'new' }
  | { readonly kind: 'done'; readonly answer: KeptAnswer }
  | { readonly kind: 'running' }
  | { readonly kind: 'other-question' };

/** Remembers the answers to writes that carried an `Idempotency-Key`, for a day, across all servers. */
export interface AnswerKeeper {
  /** @param key unique per user and key; @param question hash of operation, parameters and body */
  claim(key: string, question: string): Promise<Claim>;
  keep(key: string, answer: KeptAnswer): Promise<void>;
  /** The question failed inside the server: it may be asked again. */
  drop(key: string): Promise<void>;
}

declare module 'fastify' {
  interface FastifyRequest {
    answerKey: string | null;
    /** Of the work: the same key with the same question is the same operation, also where no answer was kept. */
    operationId: string | null;
  }
}

/**
 * A write that is sent again under the same key gets the first answer, and nothing happens twice. Where the server died
 * between the work and the keeping of its answer, the work is found by its operation (`store/once.ts`).
 */
export function keepAnswers(server: FastifyInstance, keeper: AnswerKeeper): void {
  server.decorateRequest('answerKey', null);
  server.decorateRequest('operationId', null);
  server.addHook('preHandler', async (request, reply) => {
    const given = keyOf(request);
    if (given === null || request.principal === null) return;
    const key = hashOfJson([request.principal.user, given]);
    const question = questionOf(request);
    const claim = await keeper.claim(key, question);
    if (claim.kind === 'running') throw stillRunning();
    if (claim.kind === 'other-question') throw keyReused();
    if (claim.kind === 'new') {
      request.answerKey = key;
      request.operationId = operationOf(key, question);
    } else await replay(claim.answer, reply);
  });
  server.addHook('onSend', async (request, reply, payload) => {
    const { answerKey: key } = request;
    if (key === null) return;
    request.answerKey = null;
    // Only what went well is kept: a refusal may be gone the next time, and has changed nothing.
    if (reply.statusCode >= 400) await keeper.drop(key);
    else await keeper.keep(key, { status: reply.statusCode, body: typeof payload === 'string' ? payload : '' });
  });
}

async function replay({ status, body }: KeptAnswer, reply: FastifyReply): Promise<void> {
  reply.code(status).header('idempotency-replayed', 'true').type('application/json; charset=utf-8');
  await reply.serializer(String).send(body);
}

export function operationOf(key: string, question: string): string {
  return hashOfJson([key, question]);
}

function keyOf(request: FastifyRequest): string | null {
  const key = request.headers['idempotency-key'];
  if (typeof key !== 'string' || request.method === 'GET' || holdsSecret(request)) return null;
  if (key.length > 200 || key === '')
    throw new HttpError({
      code: 'http.key-invalid',
      what: 'An Idempotency-Key has 1 to 200 characters.',
      fix: 'A random UUID is a good one.',
    });
  return key;
}

function holdsSecret(request: FastifyRequest): boolean {
  const name = request.routeOptions.config.operation;
  const exchange: Exchange | undefined = name && CONTRACT[name];
  return exchange?.secret === true;
}

function questionOf(request: FastifyRequest): string {
  return hashOfJson([request.routeOptions.config.operation ?? '', request.url, request.body ?? null]);
}

function stillRunning(): HttpError {
  return new HttpError({
    code: 'http.key-busy',
    what: 'The first request with this Idempotency-Key is still being answered.',
    fix: 'Send it again in a moment, with the same key.',
  });
}

function keyReused(): HttpError {
  return new HttpError({
    code: 'http.key-reused',
    what: 'This Idempotency-Key was used for another question.',
    fix: 'Take a new key for each new question.',
  });
}
