import type { Readable } from 'node:stream';

import { DISK_FULL, saysDiskFull } from '../../lib/disk-full.ts';
import type { LogLine } from '../../lib/log.ts';
import { createBuildKitReader } from './buildkit-log.ts';
import type { DockerEngine } from './engine.ts';
import { asked, DockerError } from './error.ts';
import { follow } from './images.ts';
import { splitLines } from './log-lines.ts';

export interface ImageBuild {
  /** The build context as a tar stream, the Dockerfile in it. */
  readonly context: Readable;
  readonly dockerfile: string;
  readonly args: Readonly<Record<string, string>>;
  readonly target?: string;
  /** A name that keeps the image alive: the engine removes what has none. */
  readonly name: string;
  /** `linux/amd64`. The older builder makes what the engine runs on. */
  readonly platform: string;
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

/** From this API on the engine has BuildKit without a flag; the builder before it knows no cache mounts. */
const BUILDKIT_API = 40;

/**
 * Builds an image from a Dockerfile inside the engine. Aborting closes the connection, which ends the build there.
 * @returns the engine's id of the image
 * @throws DockerError `docker.build-failed` with the builder's own words, or `disk.full`; the log has the rest
 */
export async function buildImage(engine: DockerEngine, build: ImageBuild): Promise<string> {
  const hasBuildKit = Number(engine.apiVersion.split('.')[1] ?? 0) >= BUILDKIT_API;
  const options = {
    version: hasBuildKit ? '2' : '1',
    dockerfile: build.dockerfile,
    t: build.name,
    buildargs: build.args,
    ...(build.target === undefined ? {} : { target: build.target }),
    ...(hasBuildKit ? { platform: build.platform } : {}),
    rm: true,
    forcerm: true,
  };
  // Not by `buildImage` of the client: that opens a session, which answers any registry host with one set of credentials
  // and stays open when a build is called off. Private bases are pulled beforehand instead.
  const broken = new AbortController();
  build.context.on('error', (error) => broken.abort(error)); // else the request would wait for the rest for ever
  const signal = AbortSignal.any([build.signal, broken.signal]);
  try {
    return await readBuild(await begin(engine, build, options, signal), { ...build, signal });
  } finally {
    build.context.destroy();
  }
}

function begin(engine: DockerEngine, build: ImageBuild, options: object, signal: AbortSignal): Promise<Readable> {
  const answer = new Promise<Readable>((resolve, reject) => {
    engine.docker.modem.dial(
      {
        path: '/build?',
        method: 'POST',
        file: build.context,
        options,
        abortSignal: signal,
        isStream: true,
        statusCodes: { 200: true, 400: 'bad parameter', 500: 'server error' },
      },
      (error: unknown, data: unknown) => (error === null ? resolve(data as Readable) : reject(error)),
    );
  });
  return asked('begin a build', answer, signal);
}

async function readBuild(stream: Readable, { log, signal }: ImageBuild): Promise<string> {
  const lines = splitLines(log);
  const buildKit = createBuildKitReader(log);
  let image: string | undefined;
  try {
    await follow(stream, { log, signal }, ({ id, aux, stream: text }) => {
      if (text !== undefined) lines.write(Buffer.from(text));
      if (id === 'moby.buildkit.trace' && typeof aux === 'string') buildKit.read(Buffer.from(aux, 'base64'));
      else if (typeof aux !== 'string') image = aux?.ID ?? image;
    });
  } catch (error) {
    signal.throwIfAborted();
    const words = error instanceof Error ? error.message : String(error);
    const failed = {
      code: 'docker.build-failed',
      what: `The build failed: ${words}`,
      fix: 'See the log of the build for the step that failed.',
    };
    throw new DockerError(saysDiskFull(words) ? DISK_FULL : failed, { cause: error });
  } finally {
    lines.end();
    buildKit.end();
  }
  if (image !== undefined) return image;
  throw new DockerError({
    code: 'docker.build-lost',
    what: 'The build ended without an error and without an image.',
    fix: 'See the log of the build and that of the Docker Engine; it may have been stopped in the middle.',
  });
}
