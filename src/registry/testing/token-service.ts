import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import type { Certificate } from './certificate.ts';
import { TOKENS } from './debian-registry.ts';
import type { Served } from './served.ts';

export interface TokenService extends Served {
  /** What was asked: `<who> <scopes>`. */
  readonly asked: string[];
}

/**
 * A token service as the distribution project specifies it, for a registry that checks the signature. `robot` with the
 * password `canary-secret`, or with the identity token `canary-identity`, may do all; anyone may pull from `public/`.
 */
export async function startTokenService(certificate: Certificate): Promise<TokenService> {
  const asked: string[] = [];
  const server = createServer(certificate, (request, response) => {
    void answerTo(request, certificate, asked).then((answer) =>
      response.writeHead(answer === null ? 401 : 200).end(JSON.stringify(answer ?? { errors: [] })),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answerTo(
  request: IncomingMessage,
  certificate: Certificate,
  asked: string[],
): Promise<Record<string, unknown> | null> {
  const { method, headers, url = '' } = request;
  const isForm = method === 'POST';
  const query = isForm ? new URLSearchParams(await text(request)) : new URL(url, 'https://x').searchParams;
  const scopes = query.getAll('scope').flatMap((scope) => scope.split(' '));
  const robot = isForm
    ? query.get('grant_type') === 'refresh_token' && query.get('refresh_token') === 'canary-identity'
    : headers.authorization === `Basic ${Buffer.from('robot:canary-secret').toString('base64')}`;
  asked.push(`${robot ? 'robot' : 'anyone'} ${scopes.join(' ')}`);
  if (!robot && (isForm || headers.authorization !== undefined)) return null;
  if (query.get('service') !== TOKENS.service) return null;
  const access = scopes.flatMap((scope) => {
    const [, type, name = '', actions = ''] = /^(repository):(.+):(.+)$/.exec(scope) ?? [];
    const granted = actions.split(',').filter((one) => robot || (one === 'pull' && name.startsWith('public/')));
    return granted.length === 0 ? [] : [{ type, name, actions: granted }];
  });
  const token = signed(certificate, robot ? 'robot' : '', access);
  return { [isForm ? 'access_token' : 'token']: token, expires_in: 300 };
}

/** A JSON web token (RFC 7519) with its certificate in `x5c`. */
function signed({ cert, key }: Certificate, subject: string, access: readonly unknown[]): string {
  const now = Math.floor(Date.now() / 1000);
  const x5c = [cert.replace(/-----[^-]+-----|\s/g, '')];
  const claims = { iss: TOKENS.issuer, aud: TOKENS.service, sub: subject, nbf: now - 60, exp: now + 300, iat: now };
  const encoded = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const text = `${encoded({ typ: 'JWT', alg: 'ES256', x5c })}.${encoded({ ...claims, jti: randomUUID(), access })}`;
  const signature = sign('sha256', Buffer.from(text), { key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}
