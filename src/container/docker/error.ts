import { DISK_FULL, saysDiskFull } from '../../lib/disk-full.ts';
import { TowpathError } from '../../lib/error.ts';

/** `docker.*`: the engine cannot be reached, refused, or lacks what was asked for. */
export class DockerError extends TowpathError {}

/** The HTTP status with which the engine refused; undefined when it did not answer at all. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

/**
 * Awaits a call to the engine and turns its failure into ours. The engine's own words are kept, its stack and the
 * request are not: a request holds environments.
 * @param doing what was tried, as the end of "The Docker Engine could not ..."
 * @param signal the one that the call listens to: once it is aborted, its reason is what failed
 */
export async function asked<T>(doing: string, call: Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw dockerError(doing, error);
  }
}

/** Like `asked`, for removals: what is not there (404) or has ended (304) is as good as removed. */
export async function askedToRemove(doing: string, call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    const status = statusOf(error);
    if (status !== 404 && status !== 304) throw dockerError(doing, error);
  }
}

/** Like `asked`, for look-ups: null when there is none. */
export async function askedFor<T>(doing: string, call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw dockerError(doing, error);
  }
}

function dockerError(doing: string, error: unknown): TowpathError {
  if (error instanceof TowpathError) return error;
  if (statusOf(error) === undefined && isUnreachable(error)) {
    return new DockerError({
      code: 'docker.unreachable',
      what: `The Docker Engine could not ${doing}: it does not answer (${wordsOf(error)}).`,
      fix: 'Start the Docker Engine, or set DOCKER_HOST to where it listens; without one use the driver `process`.',
    });
  }
  if (saysDiskFull(wordsOf(error))) return new DockerError(DISK_FULL, { cause: error });
  if (/port is already allocated|address already in use/.test(wordsOf(error))) {
    return new DockerError({
      code: 'docker.port-taken',
      what: `The Docker Engine could not ${doing}: ${wordsOf(error)}.`,
      fix: 'Something else listens on this port; Towpath takes another one by itself when it may choose.',
    });
  }
  return new DockerError({
    code: 'docker.refused',
    what: `The Docker Engine could not ${doing}: ${wordsOf(error)}.`,
    fix: 'See the words of the engine; `docker info` and its log tell more.',
  });
}

function isUnreachable(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EACCES', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND'].includes(String(code));
}

function wordsOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'json' in error) {
    const { json } = error;
    if (typeof json === 'object' && json !== null && 'message' in json) return String(json.message).replace(/\.$/, '');
  }
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
}
