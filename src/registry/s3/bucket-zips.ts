import { Readable } from 'node:stream';

import { hexOf } from '../../lib/digest.ts';
import type { Digest } from '../../lib/digest.ts';
import { unreadable } from '../client/upload.ts';
import { RegistryError } from '../error.ts';
import type { Registry } from '../registry.ts';
import { digestMismatch, verified } from '../verified.ts';
import { createBucketClient } from './bucket-client.ts';
import type { BucketClient, BucketClientOptions } from './bucket-client.ts';

/** S3 takes 5 GB in one request. The zip of a function has 250 MB unzipped at most, so no zip comes near. */
const ONE_REQUEST_BYTES = 5 * 1024 ** 3;

/**
 * Zips in S3-compatible storage, each once for all repositories, under its SHA-256: `sha256/<hex>.zip`. Nothing is
 * overwritten and nothing removed, so the keys of the server need no right to list or delete.
 */
export function bucketZips(options: BucketClientOptions): Pick<Registry, 'hasBlob' | 'readBlob' | 'writeBlob'> {
  const client = createBucketClient(options);

  async function sizeOf(digest: Digest): Promise<number | null> {
    const response = await client.send({ method: 'HEAD', key: keyOf(digest) });
    await response.body.dump();
    if (response.statusCode === 200) return Number(response.headers['content-length']);
    if (response.statusCode === 404) return null;
    // the answer to HEAD has no body, so it does not say why
    const said = await client.send({ method: 'GET', key: keyOf(digest) });
    throw await client.errorOf(said, `say whether it has the zip ${digest}`);
  }

  async function isThere({ digest, size }: Zip): Promise<boolean> {
    const found = await sizeOf(digest);
    if (found === null || found === size) return found !== null;
    throw digestMismatch(`${digest} with ${size} bytes`, `of what lies there with ${found} bytes`);
  }

  return {
    hasBlob: async (_repository, digest) => sizeOf(digest),
    readBlob: async (_repository, digest) => {
      const response = await client.send({ method: 'GET', key: keyOf(digest) });
      if (response.statusCode !== 200) throw await client.errorOf(response, `give the zip ${digest}`);
      return Readable.from(verified(received(response.body, digest), digest), { objectMode: false });
    },
    writeBlob: async (_repository, zip) => {
      if (zip.size > ONE_REQUEST_BYTES) throw tooLarge(zip.size);
      if (await isThere(zip)) return;
      const response = await written(client, zip);
      if (![200, 412].includes(response.statusCode)) throw await client.errorOf(response, `take the zip ${zip.digest}`);
      await response.body.dump();
      if (response.statusCode === 200) return;
      await isThere(zip); // somebody was faster
    },
  };
}

type Zip = Parameters<Registry['writeBlob']>[1];

/** @see docs.aws.amazon.com, "Adding preconditions to S3 operations"; a storage without them says 501 */
async function written(client: BucketClient, { digest, size, open }: Zip) {
  const hex = hexOf(digest);
  const wish = {
    method: 'PUT' as const,
    key: keyOf(digest),
    sha256: hex,
    body: () => checked(open(), digest),
    headers: {
      'content-type': 'application/zip',
      'content-length': `${size}`,
      'x-amz-checksum-sha256': Buffer.from(hex, 'hex').toString('base64'),
    },
  };
  const response = await client.send({ ...wish, headers: { ...wish.headers, 'if-none-match': '*' } });
  if (response.statusCode !== 501) return response;
  await response.body.dump();
  return client.send(wish);
}

/** Ends with an error before its last byte would be taken for whole, also where the storage itself does not look. */
function checked(content: Readable | Buffer, digest: Digest): Readable {
  if (content instanceof Readable) content.on('error', () => {}); // it may fail before anyone reads
  return Readable.from(verified(sourced(content instanceof Readable ? content : [content]), digest), {
    objectMode: false,
  });
}

async function* sourced(content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* content;
  } catch (error) {
    throw error instanceof RegistryError ? error : unreadable(error);
  }
}

async function* received(body: AsyncIterable<Uint8Array>, digest: Digest): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (cause) {
    throw new RegistryError(
      {
        code: 'registry.unreachable',
        what: `The zip ${digest} broke off while it was read.`,
        fix: 'Check the connection to the storage; the work can be tried again.',
      },
      { cause },
    );
  }
}

function keyOf(digest: Digest): string {
  return `sha256/${hexOf(digest)}.zip`;
}

function tooLarge(size: number): RegistryError {
  return new RegistryError({
    code: 'registry.too-large',
    what: `A zip of ${size} bytes does not go into a bucket in one request.`,
    fix: 'Leave files out with `exclude`, or package the functions individually.',
  });
}
