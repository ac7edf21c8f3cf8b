import { readFileSync, readdirSync } from 'node:fs';
import { extname, join } from 'node:path';

import { sha256Hex } from '../lib/digest.ts';
import { HttpError } from './http-error.ts';
import type { Route } from './router.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Nothing is loaded from anywhere else, nothing inline runs, and no other site may frame the page. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

interface Asset {
  readonly type: string;
  readonly bytes: Buffer;
  readonly etag: string;
}

/** Serves the few files of the page from memory: no path of the disk is ever made from a URL. */
export function pageRoutes(route: Route, directory: string): void {
  const assets = readAssets(directory);
  const send = (name: string, request: { headers: { 'if-none-match'?: string | undefined } }) => {
    const asset = assets.get(name);
    if (asset === undefined) throw noSuchFile(name);
    return { asset, isKnown: request.headers['if-none-match'] === asset.etag };
  };
  route('page.show', async ({ request, reply }) => {
    const { asset, isKnown } = send('index.html', request);
    return reply
      .headers(headersOf(asset))
      .code(isKnown ? 304 : 200)
      .send(isKnown ? '' : asset.bytes);
  });
  route('page.asset', async ({ params, request, reply }) => {
    const { asset, isKnown } = send(params.file, request);
    return reply
      .headers(headersOf(asset))
      .code(isKnown ? 304 : 200)
      .send(isKnown ? '' : asset.bytes);
  });
}

function headersOf({ type, etag }: Asset): Record<string, string> {
  return {
    'content-type': type,
    etag,
    'cache-control': 'no-cache',
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  };
}

function readAssets(directory: string): Map<string, Asset> {
  const assets = new Map<string, Asset>();
  for (const file of readdirSync(directory)) {
    const type = TYPES[extname(file)];
    if (type === undefined) continue;
    const bytes = readFileSync(join(directory, file));
    assets.set(file, { type, bytes, etag: `"${sha256Hex(bytes).slice(0, 16)}"` });
  }
  return assets;
}

function noSuchFile(name: string): HttpError {
  return new HttpError({
    code: 'http.file-missing',
    what: `The page has no file "${name}".`,
    fix: 'Reload the page.',
  });
}
