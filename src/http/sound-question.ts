import type { FastifyInstance } from 'fastify';

import { isSoundText } from '../lib/sound-text.ts';
import { HttpError } from './http-error.ts';

const MAX_DEPTH = 32;

/**
 * Refuses, before any schema, what no store could keep: unsound texts, and nesting that only exhausts a stack. Bodies that are bytes are left to whoever takes them.
 */
export function refuseUnsoundQuestions(server: FastifyInstance): void {
  server.addHook('preValidation', async ({ params, query, body }) => {
    for (const [at, value] of Object.entries({ params, query, body })) {
      if (Buffer.isBuffer(value)) continue;
      const wrong = wrongIn(value);
      if (wrong !== null) throw unsound(at, wrong);
    }
  });
}

/** @returns what is wrong in some text, key or nesting of a JSON value, or null */
function wrongIn(value: unknown): string | null {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return `more than ${MAX_DEPTH} levels`;
    const next: unknown[] = [];
    for (const one of level) {
      if (typeof one === 'string' && !isSoundText(one)) return 'a text with a NUL, or that is not Unicode';
      if (typeof one === 'object' && one !== null) for (const [key, part] of Object.entries(one)) next.push(key, part);
    }
    level = next;
  }
  return null;
}

function unsound(at: string, wrong: string): HttpError {
  return new HttpError({
    code: 'http.question-invalid',
    what: `The ${at} hold ${wrong}.`,
    fix: 'Send texts of Unicode characters other than NUL, in the form that /api/v1/openapi.json says.',
  });
}
