import { createServer } from 'node:http';

import escapeHtml from 'escape-html';

import { catalogue, total } from './basket.js';
import { formatPrice } from './price.js';

/** @param {{ currency: string, banner: string }} settings */
export function createShop({ currency, banner }) {
  return createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://shop');
    try {
      if (pathname === '/healthz') return answer(response, 200, 'well\n', 'text/plain');
      if (pathname === '/') return answer(response, 200, page('Shop', banner, list(currency)));
      if (pathname === '/prices') return answer(response, 200, JSON.stringify(catalogue), 'application/json');
      if (pathname === '/checkout') {
        const item = searchParams.get('item') ?? '';
        const count = Number(searchParams.get('count') ?? 1);
        const price = formatPrice(total([{ item, count }]), currency);
        return answer(
          response,
          200,
          page('Checkout', banner, `<p>${count} x ${escapeHtml(item)}. Total: ${price}</p>`),
        );
      }
      return answer(response, 404, page('Not found', banner, ''));
    } catch (error) {
      const isBuyer = error instanceof RangeError;
      if (!isBuyer) console.error(error);
      return answer(response, isBuyer ? 400 : 500, page(isBuyer ? error.message : 'Something broke', banner, ''));
    }
  });
}

function list(currency) {
  const rows = Object.entries(catalogue).map(
    ([item, cents]) => `<li>${escapeHtml(item)}: ${formatPrice(cents, currency)}</li>`,
  );
  return `<ul>${rows.join('')}</ul>`;
}

function page(title, banner, body) {
  const note = banner === '' ? '' : `<p><em>${escapeHtml(banner)}</em></p>`;
  return `<!doctype html><html lang="en"><title>${escapeHtml(title)}</title>${note}<h1>${escapeHtml(title)}</h1>${body}</html>\n`;
}

function answer(response, status, body, type = 'text/html; charset=utf-8') {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
}
