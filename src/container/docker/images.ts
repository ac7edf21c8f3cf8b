import type { Readable } from 'node:stream';

import { isDigest, type Digest } from '../../lib/digest.ts';
import type { LogLine } from '../../lib/log.ts';
import type { ImageConfig } from '../runtime.ts';
import type { Credentials, DockerEngine } from './engine.ts';
import { asked, askedFor, askedToRemove, DockerError } from './error.ts';

export interface EngineImage {
  /** The digest of the image's configuration: how the engine itself names what it has. */
  readonly id: string;
  /** The manifests under which this image was pulled or pushed, of all repositories. */
  readonly digests: readonly Digest[];
  readonly config: ImageConfig;
}

/** @returns null when the engine has no such image */
export async function inspectImage(engine: DockerEngine, reference: string): Promise<EngineImage | null> {
  const found = await askedFor('look at an image', engine.docker.getImage(reference).inspect());
  if (found === null) return null;
  const config = found.Config as typeof found.Config | null;
  return {
    id: found.Id,
    digests: (found.RepoDigests ?? []).map((name) => name.slice(name.indexOf('@') + 1)).filter(isDigest),
    config: {
      entrypoint: listOf(config?.Entrypoint),
      command: listOf(config?.Cmd),
      env: Object.fromEntries((config?.Env ?? []).map(pairOf)),
      workdir: config?.WorkingDir ?? '',
      user: config?.User ?? '',
    },
  };
}

/**
 * Fetches an image by its digest, unless the engine has it. What it fetched has that digest: the engine checks.
 * @param reference `host/repository@sha256:...`
 */
export async function pullImage(
  engine: DockerEngine,
  reference: string,
  context: { readonly log: LogLine; readonly signal: AbortSignal },
): Promise<EngineImage> {
  const there = await inspectImage(engine, reference);
  if (there !== null) return there;
  await asked(`pull ${reference}`, pull(engine, reference, context), context.signal);
  const pulled = await inspectImage(engine, reference);
  if (pulled !== null) return pulled;
  throw new DockerError({
    code: 'docker.pull-lost',
    what: `The Docker Engine said that it pulled ${reference}, and does not have it.`,
    fix: 'Something removes images while they are in use (a prune job?): let it spare images labelled dev.towpath.',
  });
}

export async function removeImage(engine: DockerEngine, reference: string): Promise<void> {
  await askedToRemove('remove an image', engine.docker.getImage(reference).remove());
}

/** Gives an image of the engine one more name and pushes it there. @returns the digest under which the registry has it */
export async function pushImage(
  engine: DockerEngine,
  image: string,
  to: { readonly repository: string; readonly tag: string },
  context: { readonly log: LogLine; readonly signal: AbortSignal },
): Promise<Digest> {
  const name = `${to.repository}:${to.tag}`;
  await asked('name an image', engine.docker.getImage(image).tag({ repo: to.repository, tag: to.tag }));
  try {
    const authconfig = await authFor(engine, to.repository);
    let digest: unknown;
    await asked(
      `push ${name}`,
      engine.docker
        .getImage(name)
        .push({ authconfig, abortSignal: context.signal })
        .then((stream) =>
          follow(stream as Readable, context, (event) => {
            if (typeof event.aux !== 'string') digest = event.aux?.Digest ?? digest;
          }),
        ),
      context.signal,
    );
    if (isDigest(digest)) return digest;
  } finally {
    await removeImage(engine, name);
  }
  throw new DockerError({
    code: 'docker.push-unclear',
    what: `The Docker Engine pushed ${name} and did not say under which digest.`,
    fix: 'Update the Docker Engine; every version since 1.10 says it.',
  });
}

/** One line of the progress that the engine streams while it pulls, pushes or builds. */
export interface ProgressEvent {
  readonly id?: string;
  readonly status?: string;
  readonly stream?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number };
  /** Text for BuildKit's own messages. */
  readonly aux?: string | { readonly ID?: string; readonly Digest?: string };
}

/**
 * Reads a progress stream to its end, which is when the work is done. Moving bars are left out of the log.
 * @throws what the engine reports inside the stream: its HTTP status was 200 by then
 */
export async function follow(
  stream: Readable,
  context: { readonly log: LogLine; readonly signal: AbortSignal },
  onEvent: (event: ProgressEvent) => void = () => undefined,
): Promise<void> {
  const stop = (): void => void stream.destroy(new Error('The work was called off.'));
  context.signal.addEventListener('abort', stop, { once: true });
  let rest = '';
  const take = (line: string): void => {
    if (line.trim() === '') return;
    const event = JSON.parse(line) as ProgressEvent;
    if (event.error !== undefined) throw new Error(event.error.trim());
    onEvent(event);
    if (event.status !== undefined && event.progressDetail?.current === undefined) {
      context.log(event.id === undefined ? event.status : `${event.id}: ${event.status}`);
    }
  };
  try {
    context.signal.throwIfAborted();
    stream.setEncoding('utf8');
    for await (const chunk of stream as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(take);
    }
    take(rest);
  } finally {
    context.signal.removeEventListener('abort', stop);
  }
}

/** The host of a reference: the part before the first slash, where it has a dot, a colon or is `localhost`. */
export function registryHostOf(reference: string): string {
  const first = reference.split('/')[0] ?? '';
  return reference.includes('/') && /[.:]|^localhost$/.test(first) ? first : 'docker.io';
}

async function pull(
  engine: DockerEngine,
  reference: string,
  context: { readonly log: LogLine; readonly signal: AbortSignal },
): Promise<void> {
  const authconfig = await authFor(engine, reference);
  const stream = await engine.docker.pull(reference, { authconfig, abortSignal: context.signal });
  await follow(stream as Readable, context);
}

async function authFor(
  engine: DockerEngine,
  reference: string,
): Promise<(Credentials & { serveraddress: string }) | Record<string, never>> {
  const host = registryHostOf(reference);
  const credentials = await engine.credentials(host);
  return credentials === null ? {} : { ...credentials, serveraddress: host };
}

function listOf(value: string | string[] | null | undefined): string[] {
  if (value === null || value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}

function pairOf(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return at === -1 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}
