import { AwsV4Signer } from 'aws4fetch';
import { request } from 'undici';
import { z } from 'zod';

import type { Clock } from '../../../../lib/clock.ts';
import type { Digest } from '../../../../lib/digest.ts';
import { hasCode } from '../../../../lib/error.ts';
import { readUpTo } from '../../../../lib/read-up-to.ts';
import { delayBefore, isRetriedStatus, PATIENCE, type RetryPolicy } from '../../../../registry/client/retry.ts';
import { CheckError } from '../../../error.ts';
import { type FindingsPage, Page } from './answer.ts';
import type { EcrAccess, EcrPlace } from './place.ts';

const MAX_BYTES = 32 * 1024 * 1024;
const TIMEOUT_MS = 20_000;
const PAGE_SIZE = 1000;
/** So many findings no image has: an answer that goes on is none. */
const MOST_PAGES = 200;

/** What it says where it has nothing to tell. */
const NOTHING = ['ScanNotFoundException', 'ImageNotFoundException', 'RepositoryNotFoundException'] as const;
export type Nothing = (typeof NOTHING)[number];

export interface EcrApi {
  /**
   * Everything that it found in an image, page by page.
   * @param repository as this installation calls it
   * @throws CheckError `check.server-refused`, `check.server-unavailable`; RegistryError `registry.credentials`
   */
  findings(repository: string, image: Digest, signal: AbortSignal): Promise<readonly FindingsPage[] | Nothing>;
}

/**
 * Amazon ECR's own scan, asked by one signed request for each page.
 * @see docs.aws.amazon.com, "DescribeImageScanFindings" of the Amazon ECR API reference
 */
export function ecrApi(access: EcrAccess, clock: Pick<Clock, 'now'>, retry: RetryPolicy = PATIENCE): EcrApi {
  const { place } = access;
  const page = (body: object, signal: AbortSignal): Promise<FindingsPage | Nothing> =>
    ask(access, JSON.stringify(body), { clock, retry, signal });
  return {
    async findings(repository, image, signal) {
      const wish = {
        registryId: place.registryId,
        repositoryName: `${place.prefix}${repository}`,
        imageId: { imageDigest: image },
        maxResults: PAGE_SIZE,
      };
      const pages: FindingsPage[] = [];
      let nextToken: string | undefined;
      do {
        const answer = await page(nextToken === undefined ? wish : { ...wish, nextToken }, signal);
        if (typeof answer === 'string') return answer;
        if (pages.push(answer) > MOST_PAGES) throw unavailable(place, 'its answer has no end');
        nextToken = answer.nextToken ?? undefined;
      } while (nextToken !== undefined);
      return pages;
    },
  };
}

async function ask(
  access: EcrAccess,
  body: string,
  { clock, retry, signal }: { clock: Pick<Clock, 'now'>; retry: RetryPolicy; signal: AbortSignal },
): Promise<FindingsPage | Nothing> {
  for (let attempt = 1; ; attempt++) {
    const end = await once(access, body, clock, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (hasCode(error)) throw error;
      return { busy: `it does not answer (${reasonOf(error)})` };
    });
    if (!('busy' in end)) return end.answer;
    if (attempt === retry.attempts) throw unavailable(access.place, end.busy);
    await retry.wait(delayBefore(attempt, undefined, retry));
    signal.throwIfAborted();
  }
}

/** @returns why it could not say anything now, or what it said */
async function once(
  { place, keys, agentFor }: EcrAccess,
  body: string,
  clock: Pick<Clock, 'now'>,
  signal: AbortSignal,
): Promise<{ readonly busy: string } | { readonly answer: FindingsPage | Nothing }> {
  const { sessionToken, ...pair } = await keys();
  const signed = await new AwsV4Signer({
    ...pair,
    ...(sessionToken !== undefined && { sessionToken }),
    method: 'POST',
    url: place.endpoint.href,
    service: 'ecr',
    region: place.region,
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': 'AmazonEC2ContainerRegistry_V20150921.DescribeImageScanFindings',
    },
    body,
    allHeaders: true,
    datetime: new Date(clock.now()).toISOString().replace(/[:-]|\.\d{3}/g, ''),
  }).sign();
  const response = await request(place.endpoint, {
    dispatcher: agentFor(place.endpoint),
    method: 'POST',
    headers: { 'user-agent': 'towpath', ...Object.fromEntries(signed.headers) },
    body,
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  const bytes = await readUpTo(response.body, MAX_BYTES);
  if (bytes === null) throw unavailable(place, `it answered more than ${MAX_BYTES / 1024 / 1024} MiB`);
  return meaningOf(place, response.statusCode, jsonOf(bytes.toString('utf8')));
}

const Failure = z.object({ __type: z.string() });

/** @throws CheckError for what is no answer and will not be one when it is asked again at once */
function meaningOf(
  place: EcrPlace,
  status: number,
  json: unknown,
): { readonly busy: string } | { readonly answer: FindingsPage | Nothing } {
  if (status === 200) {
    const page = Page.safeParse(json);
    if (page.success) return { answer: page.data };
    throw unavailable(place, 'it answered in another shape than Amazon ECR does');
  }
  const failure = Failure.safeParse(json);
  const said = /^(?:.*#)?(\w{1,80})/.exec(failure.data?.__type ?? '')?.[1] ?? '';
  const nothing = NOTHING.find((code) => code === said);
  if (nothing !== undefined) return { answer: nothing };
  const why = `it answered ${said === '' ? status : `${status}: ${said}`}`;
  if (isRetriedStatus(status) || /^(?:Throttling|TooManyRequests)/.test(said)) return { busy: why };
  throw REFUSALS.test(said) || status === 401 || status === 403 ? refused(place, said) : unavailable(place, why);
}

const REFUSALS =
  /^(?:AccessDenied|UnrecognizedClient|InvalidClientToken|InvalidSignature|IncompleteSignature|ExpiredToken|MissingAuthentication|SignatureDoesNotMatch|OptInRequired)/;

function refused({ endpoint, registryId }: EcrPlace, said: string): CheckError {
  return new CheckError({
    code: 'check.server-refused',
    what: `Amazon ECR at ${endpoint.host} refused the keys (${said === '' ? 'it does not say why' : said}).`,
    fix: `Give them \`ecr:DescribeImageScanFindings\` in account ${registryId}, for enhanced scanning \`inspector2:ListCoverage\` and \`inspector2:ListFindings\` too; renew them if they have expired.`,
  });
}

function unavailable({ endpoint }: EcrPlace, why: string): CheckError {
  return new CheckError({
    code: 'check.server-unavailable',
    what: `Amazon ECR at ${endpoint.host} cannot be asked: ${why}.`,
    fix: 'It is asked again. See that the server reaches it, by a proxy or a VPC endpoint for `ecr.api`.',
  });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
