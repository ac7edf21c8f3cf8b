import type { Readable } from 'node:stream';

import { AwsV4Signer } from 'aws4fetch';
import { request } from 'undici';
import type { Dispatcher } from 'undici';

import { bytesOf } from '../client/answers.ts';
import { atPace, PACE, type Pace } from '../client/pace.ts';
import { delayBefore, isRetriedStatus, PATIENCE } from '../client/retry.ts';
import type { RetryPolicy } from '../client/retry.ts';
import { textOf, unreachable } from '../client/transport.ts';
import type { AgentFor } from '../client/transport.ts';
import { RegistryError } from '../error.ts';
import type { RegistryErrorCode } from '../error.ts';
import type { AccessKeys } from '../aws/keys.ts';
import type { BucketPlace } from './place.ts';

/** Signed requests about objects of one bucket. */
export interface BucketClient {
  /** An answer with any status that is not retried (or still is one after all tries). The caller must consume its body. */
  send(request: BucketRequest): Promise<Dispatcher.ResponseData>;
  /** The error that an unexpected answer means; it takes the body along. @param what as in "could not <what>" */
  errorOf(response: Dispatcher.ResponseData, what: string): Promise<RegistryError>;
}

export interface BucketRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT';
  /** Relative to the place of the bucket. */
  readonly key: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Opened for each try. */
  readonly body?: () => Readable | Buffer;
  /** Of the body, in hexadecimal digits: it is signed too, so the storage takes no other bytes. */
  readonly sha256?: string;
}

export interface BucketClientOptions {
  readonly place: BucketPlace;
  readonly keys: () => Promise<AccessKeys>;
  readonly agentFor: AgentFor;
  readonly retry?: Partial<RetryPolicy>;
  readonly timeoutMs?: number;
  readonly pace?: Pace;
}

const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** @see docs.aws.amazon.com, "Authenticating Requests (AWS Signature Version 4)" */
export function createBucketClient(options: BucketClientOptions): BucketClient {
  const { place, keys, timeoutMs = 60_000 } = options;
  const agentFor = atPace(options.pace ?? PACE, options.agentFor);
  const retry = { ...PATIENCE, ...options.retry };

  async function once({ method, key, headers, body, sha256 = EMPTY_SHA256 }: BucketRequest) {
    const url = new URL(key, place.base);
    const { sessionToken, ...pair } = await keys();
    const signer = new AwsV4Signer({
      ...pair,
      ...(sessionToken !== undefined && { sessionToken }),
      method,
      url: url.href,
      service: 's3',
      region: place.region,
      headers: { ...headers, 'x-amz-content-sha256': sha256 },
      datetime: new Date(retry.now()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
    });
    const signed = await signer.sign();
    return request(url, {
      dispatcher: agentFor(url),
      method,
      headers: { 'user-agent': 'towpath', ...Object.fromEntries(signed.headers) },
      body: body?.() ?? null,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
  }

  return {
    send: async (wanted) => {
      for (let attempt = 1; ; attempt++) {
        let retryAfter: string | undefined;
        try {
          const response = await once(wanted);
          // 409: somebody writes the same key at this moment
          const isBusy = isRetriedStatus(response.statusCode) || response.statusCode === 409;
          if (!isBusy || attempt === retry.attempts) return response;
          retryAfter = textOf(response.headers['retry-after']);
          await response.body.dump();
        } catch (error) {
          if (error instanceof RegistryError || attempt === retry.attempts) throw asRegistryError(place, error);
        }
        await retry.wait(delayBefore(attempt, retryAfter, retry));
      }
    },
    errorOf: async (response, what) => {
      const { statusCode: status, headers, body } = response;
      const answer = { statusCode: status, headers, body, url: place.base };
      const text = (await bytesOf(answer, 64 * 1024).catch(() => Buffer.alloc(0))).toString('utf8');
      const said = /<Code>(\w{1,60})<\/Code>/.exec(text)?.[1] ?? '';
      const [code, fix] = meaningOf(status, said);
      const reason = said === '' ? `${status}` : `${status}: ${said}`;
      return new RegistryError({ code, what: `The bucket ${place.bucket} could not ${what} (${reason}).`, fix });
    },
  };
}

function asRegistryError({ base }: BucketPlace, error: unknown): unknown {
  const isOurs = error instanceof Error && 'code' in error && /^(?:registry|secret)\./.test(String(error.code));
  return isOurs ? error : unreachable(base, error);
}

const REFUSED_KEYS = new Set([
  'InvalidAccessKeyId',
  'NotSignedUp',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
]);

/** @see docs.aws.amazon.com, "Error responses" of the S3 API reference */
function meaningOf(status: number, said: string): readonly [RegistryErrorCode, string] {
  if (said === 'SlowDown' || status === 429)
    return ['registry.throttled', 'Wait; the work is tried again. Ask the storage for a higher limit if it stays so.'];
  if (isRetriedStatus(status)) return ['registry.unavailable', 'Wait, or look at the log of the storage.'];
  if (said === 'NoSuchBucket')
    return ['registry.not-found', 'Make the bucket, or correct its name in TOWPATH_ZIPS: Towpath makes none.'];
  if (status === 404) return ['registry.not-found', 'Build the artifact again; the storage has lost the zip.'];
  if (REFUSED_KEYS.has(said) || status === 401)
    return ['registry.unauthorized', 'Renew the keys of the server for this storage; check its clock and AWS_REGION.'];
  if (status === 403)
    return ['registry.denied', 'Allow the keys of the server s3:GetObject and s3:PutObject below the prefix.'];
  if (/Digest|SHA256Mismatch/.test(said)) return ['registry.digest-mismatch', 'Build again; what was sent is damaged.'];
  if (status === 413 || said === 'EntityTooLarge')
    return ['registry.too-large', 'Make the zip smaller, or raise the limit of the storage.'];
  if (status === 501 || status === 405) return ['registry.unsupported', 'Use a storage that offers this.'];
  return ['registry.failed', 'Check AWS_REGION and AWS_ENDPOINT_URL_S3; then look at the log of the storage.'];
}
