import type { z } from 'zod';

import { RegistryError } from '../error.ts';
import type { RegistryErrorCode } from '../error.ts';
import { isRetriedStatus } from './retry.ts';
import { unreachable } from './transport.ts';
import type { RegistryResponse } from './transport.ts';

/** Reads a body that may not be longer than `limit` bytes. @throws RegistryError `registry.failed`, `registry.unreachable` */
export async function bytesOf({ body, url }: RegistryResponse, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw tooLong(url, limit);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof RegistryError ? error : unreachable(url, error);
  }
  return Buffer.concat(chunks);
}

function tooLong(url: URL, limit: number): RegistryError {
  return new RegistryError({
    code: 'registry.failed',
    what: `${url.host} sent more than ${limit} bytes where a manifest or a list belongs.`,
    fix: 'Check that the address is that of an OCI registry.',
  });
}

/** Reads a list as the specification has it. @throws RegistryError `registry.failed` */
export function jsonOf<T>(schema: z.ZodType<T>, text: string, host: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new RegistryError(
      {
        code: 'registry.failed',
        what: `${host} sent something that is not the list it was asked for.`,
        fix: 'Check that the address is that of an OCI registry.',
      },
      { cause },
    );
  }
}

/**
 * The error that an unexpected answer means; it takes the body along. Nothing of a request is in it, so no credentials.
 * @param what the work, as in "could not <work>"
 */
export async function errorOf(response: RegistryResponse, what: string): Promise<RegistryError> {
  const { statusCode: status, url } = response;
  const text = (await bytesOf(response, 64 * 1024).catch(() => Buffer.alloc(0))).toString('utf8');
  const said = errorsIn(text);
  const code = codeOf(status, said);
  const reason = said.length === 0 ? '' : `: ${said.map((one) => `${one.code} ${one.message}`.trim()).join('; ')}`;
  return new RegistryError({
    code,
    what: `${url.host} could not ${what} (${status}${reason}).`,
    fix: FIXES[code] ?? OTHER,
  });
}

const OTHER = 'Look at the log of the registry; the work can be tried again.';

const FIXES: Partial<Record<RegistryErrorCode, string>> = {
  'registry.unavailable': 'Wait, or look at the log of the registry; the work is tried again.',
  'registry.throttled': 'Wait; or log in to the registry, or mirror what is fetched from it, for a higher limit.',
  'registry.unauthorized': 'Give the server credentials for this registry, or renew those that it has.',
  'registry.denied': 'Give the account of the server the right to do this in the registry.',
  'registry.not-found': 'Check the repository and the tag; push it first if it is new.',
  'registry.unsupported': 'Use a registry that offers this, such as the embedded one.',
  'registry.tag-immutable': 'Use another tag: this one already names another digest and may not move.',
  'registry.manifest-invalid': 'The registry does not take this kind of manifest; see what it supports.',
  'registry.too-large': 'Make it smaller, or raise the limit of the registry (or of the proxy before it).',
  'registry.content-missing': 'Push the blobs and manifests that it names first.',
};

interface Said {
  readonly code: string;
  readonly message: string;
}

function codeOf(status: number, said: readonly Said[]): RegistryErrorCode {
  const has = (...codes: string[]) => said.some(({ code }) => codes.includes(code));
  if (status === 429) return 'registry.throttled';
  if (isRetriedStatus(status)) return 'registry.unavailable';
  // ECR answers 400, Harbor 412, the embedded registry 409.
  if (has('TAG_INVALID') && status !== 404) return 'registry.tag-immutable';
  if (status === 412 || (status === 409 && has('DENIED'))) return 'registry.tag-immutable';
  if (has('MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN') && status >= 400) return 'registry.content-missing';
  if (status === 401) return 'registry.unauthorized';
  if (status === 403) return 'registry.denied';
  if (status === 404) return 'registry.not-found';
  if (status === 405 && has('DENIED')) return 'registry.still-needed';
  if (status === 405 || status === 501 || has('UNSUPPORTED')) return 'registry.unsupported';
  if (status === 413) return 'registry.too-large';
  if (status === 416) return 'registry.upload-range';
  if (has('MANIFEST_INVALID')) return 'registry.manifest-invalid';
  if (has('SIZE_INVALID')) return 'registry.size-invalid';
  if (has('DIGEST_INVALID')) return 'registry.digest-mismatch';
  if (has('NAME_INVALID')) return 'registry.name-invalid';
  return 'registry.failed';
}

/** The first errors of a body in the form of the specification; an answer in another form says nothing. */
function errorsIn(text: string): Said[] {
  try {
    const { errors } = JSON.parse(text) as { errors?: unknown };
    if (!Array.isArray(errors)) return [];
    return errors.slice(0, 3).map((one: { code?: unknown; message?: unknown } | null) => ({
      code: typeof one?.code === 'string' ? one.code.slice(0, 60) : '',
      message: typeof one?.message === 'string' ? one.message.slice(0, 300) : '',
    }));
  } catch {
    return [];
  }
}
