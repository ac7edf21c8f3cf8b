import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors, isResponseSerializationError } from 'fastify-type-provider-zod';

import { DISK_FULL, isDiskFull } from '../lib/disk-full.ts';
import { hasCode, problemOf, type Problem } from '../lib/error.ts';
import { isTransient, STORE_AWAY } from '../store/database.ts';

/** Codes whose status does not follow from their last word. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  'access.unauthenticated': 401,
  'access.forbidden': 403,
  'access.foreign-origin': 403,
  'access.identity-untrue': 401,
  'disk.full': 507,
  'environment.not-a-preview': 409,
  'http.too-large': 413,
  'http.media-type': 415,
  'http.key-reused': 422,
  'internal.error': 500,
  'path.no-rollback': 409,
  'path.unknown-subject': 404,
  'release.no-reason': 400,
  'release.no-such-service': 404,
  'check.unsigned-webhook': 401,
  'webhook.unsigned': 401,
  'webhook.stale': 401,
};

/** The last words that the folders use in their codes. What is none of these was understood and cannot be done: 422. */
const STATUS_OF_WORD: readonly (readonly [RegExp, number])[] = [
  [/(^|-)(missing|unknown|not-found|none)$/, 404],
  [/(^|-)(invalid|malformed|ambiguous)$/, 400],
  [/(^|-)(exists|taken|conflict|busy|ended|held|yanked|changed)$/, 409],
  [/(^|-)(refused|forbidden|barred)$/, 403],
  [/(^|-)(unavailable|unreachable|stopping)$/, 503],
];

const TITLES: Readonly<Record<number, string>> = {
  400: 'The question is malformed',
  401: 'Who are you?',
  403: 'Not allowed',
  404: 'Not found',
  409: 'Not in this state',
  413: 'Too large',
  415: 'Not in this form',
  422: 'Not possible',
  429: 'Too many questions',
  503: 'Not now',
  507: 'No space left',
};

export interface FieldProblem {
  readonly at: string;
  readonly what: string;
}

/** RFC 9457: `detail` is for people who read only that; `code`, `what` and `fix` are what every face shows. */
export interface ProblemDocument extends Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly requestId: string;
  readonly problems?: readonly FieldProblem[];
}

export function statusOf(code: string): number {
  const exact = Object.hasOwn(STATUS_OF_CODE, code) ? STATUS_OF_CODE[code] : undefined;
  if (exact !== undefined) return exact;
  const last = code.slice(code.lastIndexOf('.') + 1);
  return STATUS_OF_WORD.find(([word]) => word.test(last))?.[1] ?? 422;
}

export function documentOf(
  problem: Problem,
  requestId: string,
  status: number = statusOf(problem.code),
  problems?: readonly FieldProblem[],
): ProblemDocument {
  return {
    type: `https://towpath.dev/problems/${problem.code}`,
    title: TITLES[status] ?? 'Something failed',
    status,
    detail: `${problem.what} ${problem.fix}`,
    code: problem.code,
    what: problem.what,
    fix: problem.fix,
    requestId,
    ...(problems === undefined ? {} : { problems }),
  };
}

/**
 * Turns whatever was thrown into a problem document. What was not raised on purpose is logged whole and told only by
 * its request id: the message of a foreign error may hold a path, a query or a secret.
 */
export function describeFailure(error: unknown, requestId: string): ProblemDocument {
  if (hasZodFastifySchemaValidationErrors(error)) {
    const problems = error.validation.map(({ instancePath, message }) => ({
      at: `${error.validationContext ?? 'request'}${instancePath.replace(/\/$/, '').replaceAll('/', '.')}`,
      what: message ?? 'is not what was expected',
    }));
    const what = problems.map((problem) => `${problem.at}: ${problem.what}`).join('; ');
    const fix = 'Compare with /api/v1/openapi.json, which names every field.';
    return documentOf({ code: 'http.question-invalid', what: `${what}.`, fix }, requestId, 400, problems);
  }
  if (hasCode(error) && !isResponseSerializationError(error)) return documentOf(problemOf(error), requestId);
  if (isDiskFull(error)) return documentOf(DISK_FULL, requestId);
  if (isTransient(error)) return documentOf(STORE_AWAY, requestId);
  const status = foreignStatus(error);
  if (status >= 500) return documentOf(hidden(requestId), requestId, 500);
  if (status === 413) return documentOf(TOO_LARGE, requestId, status);
  if (status === 415) return documentOf(MEDIA_TYPE, requestId, status);
  const what = error instanceof Error ? error.message : 'The question was not understood.';
  const fix = 'Send it as /api/v1/openapi.json says.';
  return documentOf({ code: 'http.question-invalid', what, fix }, requestId, status);
}

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const document = describeFailure(error, request.id);
  const { status, code, what } = document;
  if (status === 500 || (status > 500 && !hasCode(error)))
    request.log.error({ err: error, requestId: request.id }, 'a request failed');
  else if (status > 500) {
    const { cause } = error as Error;
    const because = hasCode(cause) ? { because: problemOf(cause).what } : {};
    request.log.warn({ code, requestId: request.id, ...because }, `not answered: ${what}`);
  }
  if (status === 401) reply.header('www-authenticate', 'Bearer realm="towpath"');
  if (status === 503) reply.header('retry-after', '1');
  return reply.code(status).type('application/problem+json').serializer(JSON.stringify).send(document);
}

function foreignStatus(error: unknown): number {
  const status = (error as Partial<FastifyError> | null)?.statusCode;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}

const TOO_LARGE: Problem = {
  code: 'http.too-large',
  what: 'The body is larger than is taken: the API takes 1 MiB, a webhook 5 MiB.',
  fix: 'Send less; images are pushed to the registry (`docker push`), which has limits of its own.',
};

const MEDIA_TYPE: Problem = {
  code: 'http.media-type',
  what: 'The body has a content-type that is not taken here.',
  fix: 'Send JSON with content-type application/json.',
};

function hidden(requestId: string): Problem {
  return {
    code: 'internal.error',
    what: 'Something failed inside the server.',
    fix: `Look for request ${requestId} in the server's log; if it repeats, report it with those lines.`,
  };
}
