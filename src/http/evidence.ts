import { extname, posix } from 'node:path';
import { Readable } from 'node:stream';

import type { Faces } from './faces.ts';
import type { Route } from './router.ts';

/** Pictures that hold nothing that runs: not SVG. */
const PICTURES: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
  '.avif': 'image/avif',
};

export function evidenceRoutes(route: Route, { useCases: { evidence } }: Faces): void {
  route('evidence.show', ({ params }) => evidence.show(params.project, params.evidence));
  route('evidence.file', async ({ params, query, reply }) => {
    const { size, bytes } = await evidence.file(params.project, params.evidence, query.path);
    return reply.headers(headersOf(query.path, size)).send(Readable.from(bytes, { objectMode: false }));
  });
}

/**
 * Whoever's tests wrote it, it came from strangers' pages or from a fork, and the session of the page is of this origin. So
 * nothing is shown but pictures, no browser guesses what it is, and what is opened all the same runs no script and asks for nothing.
 */
function headersOf(path: string, size: number): Record<string, string | number> {
  const picture = PICTURES[extname(path).toLowerCase()];
  return {
    'content-type': picture ?? 'application/octet-stream',
    'content-length': size,
    'content-disposition': picture === undefined ? saveAs(posix.basename(path)) : 'inline',
    'content-security-policy': "default-src 'none'; sandbox",
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'cache-control': 'private, max-age=300',
  };
}

/** RFC 6266: in ASCII for old clients, and as it is. */
function saveAs(name: string): string {
  const plain = name.replaceAll(/[^\w.-]/g, '_');
  const whole = encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${whole}`;
}
