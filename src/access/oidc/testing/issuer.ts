import type { IncomingMessage, ServerResponse } from 'node:http';

import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

import type { Claims } from '../../identity.ts';

/** An issuer of identity tokens: true keys, and the two documents of OpenID Connect Discovery. */
export interface TestIssuer {
  readonly issuer: string;
  /** What answers at its host. */
  readonly site: (request: IncomingMessage, response: ServerResponse) => void;
  /** The paths that it was asked for, in order. */
  readonly asked: string[];
  /** Of each document: what it says instead. */
  readonly instead: Map<'discovery' | 'keys', (response: ServerResponse) => void>;
  /** @param header what differs from the usual */
  sign(claims: Claims, header?: { readonly kid?: string }): Promise<string>;
  /** It signs with another key from now on, and gives that one alone. */
  rotate(): Promise<void>;
}

const KEYS_PATH = '/.well-known/jwks';

export async function testIssuer(issuer: string, alg: 'RS256' | 'ES256' = 'RS256'): Promise<TestIssuer> {
  let round = 0;
  let signing: { readonly kid: string; readonly key: CryptoKey; readonly shown: JWK };
  const rotate = async (): Promise<void> => {
    const kid = `key-${++round}`;
    const { privateKey, publicKey } = await generateKeyPair(alg);
    signing = { kid, key: privateKey, shown: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
  };
  await rotate();
  const asked: string[] = [];
  const instead: TestIssuer['instead'] = new Map();
  return {
    issuer,
    asked,
    instead,
    rotate,
    sign: (claims, header = {}) =>
      new SignJWT({ ...claims }).setProtectedHeader({ typ: 'JWT', alg, kid: signing.kid, ...header }).sign(signing.key),
    site: ({ url = '' }, response) => {
      asked.push(url);
      const document = url === new URL(KEYS_PATH, issuer).pathname ? 'keys' : 'discovery';
      const other = instead.get(document);
      if (other !== undefined) return other(response);
      if (document === 'discovery' && !url.endsWith('/.well-known/openid-configuration'))
        return void response.writeHead(404).end();
      const found =
        document === 'keys'
          ? { keys: [signing.shown] }
          : {
              issuer,
              jwks_uri: new URL(KEYS_PATH, issuer).href,
              subject_types_supported: ['public', 'pairwise'],
              response_types_supported: ['id_token'],
              id_token_signing_alg_values_supported: [alg],
              scopes_supported: ['openid'],
            };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
    },
  };
}
