import { createHash } from 'node:crypto';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

import { extract, type Header } from 'tar-stream';

import type { Digest } from '../../lib/digest.ts';
import { shortDigest } from '../../lib/digest.ts';
import { ContainerError } from '../container-error.ts';
import type { ImageLayer } from './image.ts';
import { unpackZstd } from './zstd.ts';

/**
 * Each piece of what is unpacked goes from a thread to the loop and is waited for, and on a busy machine the wait is what costs:
 * in zlib's own pieces of 16 KB, a layer of 125 MB took three minutes at a load of 15, as often as it had to wait.
 */
const PIECE_BYTES = 1024 * 1024;

/**
 * Reads a layer to its end, entry by entry, and proves that it is the one that its image names: what was read counts only
 * when this has resolved.
 * @throws ContainerError `container.image-malformed`, and whatever `each` throws
 */
export async function readLayer(
  blob: Readable,
  layer: Pick<ImageLayer, 'digest' | 'diffId' | 'compression'>,
  each: (header: Header, content: AsyncIterable<Uint8Array>) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const tar = extract();
  const options = signal === undefined ? {} : { signal };
  const flow =
    layer.compression === 'none'
      ? pipeline(blob, hashing, tar, options)
      : pipeline(
          blob,
          layer.compression === 'gzip' ? createGunzip({ chunkSize: PIECE_BYTES }) : unpackZstd,
          hashing,
          tar,
          options,
        );
  const writing = (async () => {
    for await (const entry of tar) {
      await each(entry.header, entry as AsyncIterable<Uint8Array>);
      entry.resume();
    }
  })();
  const [flowed, written] = await Promise.allSettled([flow, writing]);
  // What stopped the writer, a full disk say, says more than the broken pipe that it causes.
  if (written.status === 'rejected' && (isOurs(written.reason) || isBrokenPipe(flowed))) throw written.reason;
  if (flowed.status === 'rejected')
    throw isOfFormat(flowed.reason)
      ? malformed(layer, `is no archive that can be read (${messageOf(flowed.reason)})`, flowed.reason)
      : flowed.reason;
  if (written.status === 'rejected') throw written.reason;
  if (`sha256:${hash.digest('hex')}` !== layer.diffId) throw malformed(layer, 'does not hold what its image says');
}

function malformed({ digest }: { digest: Digest }, why: string, cause?: unknown): ContainerError {
  return new ContainerError(
    {
      code: 'container.image-malformed',
      what: `The layer ${shortDigest(digest)} ${why}.`,
      fix: 'Build and push the image again.',
    },
    { cause },
  );
}

/** Of zlib (`Z_DATA_ERROR`), or of zstd or the tar reader, which give no code; what the disk or the registry says has one. */
function isOfFormat(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code === '' ? error instanceof Error && error.name !== 'AbortError' : code.startsWith('Z_');
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 100);
}

function isBrokenPipe(result: PromiseSettledResult<unknown>): boolean {
  if (result.status === 'fulfilled') return false;
  return (
    result.reason instanceof Error && 'code' in result.reason && result.reason.code === 'ERR_STREAM_PREMATURE_CLOSE'
  );
}

function isOurs(error: unknown): boolean {
  return error instanceof ContainerError;
}
