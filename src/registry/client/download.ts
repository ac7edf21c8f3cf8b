import { Readable } from 'node:stream';

import type { Digest } from '../../lib/digest.ts';
import { RegistryError } from '../error.ts';
import { verified } from '../verified.ts';
import { errorOf } from './answers.ts';
import { unreachable } from './transport.ts';
import type { RegistryResponse, Transport } from './transport.ts';

/**
 * The bytes of a blob, checked against the digest at the end. A connection that breaks half-way is taken up again where
 * it broke.
 * @throws RegistryError `registry.not-found` at once; later failures come through the stream
 */
export async function downloadBlob(
  transport: Transport,
  repository: string,
  digest: Digest,
  scopes: readonly string[],
): Promise<Readable> {
  const get = async (offset: number): Promise<RegistryResponse> => {
    const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const response = await transport.send({ method: 'GET', url: `/v2/${repository}/blobs/${digest}`, scopes, headers });
    if (response.statusCode === 200 || response.statusCode === 206) return response;
    throw await errorOf(response, `give the blob ${digest} of ${repository}`);
  };
  const first = await get(0);
  return Readable.from(verified(resumed(transport, first, get), digest), { objectMode: false });
}

async function* resumed(
  transport: Transport,
  first: RegistryResponse,
  get: (offset: number) => Promise<RegistryResponse>,
): AsyncGenerator<Buffer> {
  let response = first;
  let offset = 0;
  for (let attempt = 1; ; attempt++) {
    let skip = response.statusCode === 206 ? 0 : offset; // a registry without ranges begins anew
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        const fresh = chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - fresh.length;
        offset += fresh.length;
        if (fresh.length > 0) yield fresh;
      }
      return;
    } catch (error) {
      if (attempt >= transport.attempts)
        throw error instanceof RegistryError ? error : unreachable(response.url, error);
    }
    await transport.pause(attempt);
    response = await get(offset);
  }
}
