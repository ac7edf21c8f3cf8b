import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import type { SourceFiles } from '../driver.ts';
import { noFile, noProgram, notManifest, programFailed } from './deployment-error.ts';
import { refuseRemote } from './kustomization.ts';
import { LIMITS } from './limits.ts';

const execute = promisify(execFile);

export interface RenderOptions {
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/** Makes plain manifests of an overlay or a chart, by the programs of their makers: they get a copy of the files, and no network. */
export interface Renderer {
  kustomize(source: SourceFiles, folder: string, options: RenderOptions): Promise<string>;
  helm(source: SourceFiles, chart: Chart, options: RenderOptions): Promise<string>;
}

export interface Chart {
  readonly chart: string;
  readonly values: readonly string[];
}

type Files = ReadonlyMap<string, Uint8Array>;

const TIME_MS = 60_000;
const NOWHERE = 'http://127.0.0.1:9';

/** @param programs where they are; names are looked for on PATH */
export function createRenderer(programs: { readonly kustomize: string; readonly helm: string }): Renderer {
  return {
    // bases lie beside overlays, so the folder at the root that holds both is copied
    kustomize: async (source, folder, { signal }) => {
      const files = await read(source, [folder.split('/')[0] ?? folder]);
      refuseRemote(files);
      return inCopy(files, (place) => run(programs.kustomize, ['build', join(place.files, folder)], place, signal));
    },
    // what hooks do is for an installation by Helm; a Job that comes before says so as in every manifest
    helm: async (source, { chart, values }, { namespace, signal }) => {
      const files = await read(source, [chart, ...values]);
      return inCopy(files, (place) => {
        const given = values.flatMap((file) => ['--values', join(place.files, file)]);
        const argv = [
          'template',
          'release',
          join(place.files, chart),
          '--namespace',
          namespace,
          '--no-hooks',
          ...given,
        ];
        return run(programs.helm, argv, place, signal);
      });
    },
  };
}

async function read(source: SourceFiles, paths: readonly string[]): Promise<Files> {
  const files = new Map<string, Uint8Array>();
  let left: number = LIMITS.bytes;
  for (const path of paths) {
    const below = await source.list(path);
    const names = below.length === 0 ? [path] : below.map((name) => (path === '.' ? name : `${path}/${name}`));
    for (const name of names) {
      const bytes = await source.file(name, LIMITS.fileBytes);
      if (bytes === null) throw noFile(name);
      files.set(name, bytes);
      left -= bytes.length;
      if (left < 0 || files.size > LIMITS.files) throw notManifest(path, 'it is too large to be read');
    }
  }
  return files;
}

/** Where a program works. Its home is none of the repository's: there it would look for plug-ins. */
interface Copy {
  readonly files: string;
  readonly home: string;
}

async function inCopy<T>(files: Files, work: (copy: Copy) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-manifests-'));
  const copy = { files: join(directory, 'files'), home: join(directory, 'home') };
  try {
    await mkdir(copy.home);
    for (const [name, bytes] of files) {
      await mkdir(join(copy.files, dirname(name)), { recursive: true });
      await writeFile(join(copy.files, name), bytes);
    }
    return await work(copy);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function run(
  program: string,
  argv: readonly string[],
  { files, home }: Copy,
  signal: AbortSignal,
): Promise<string> {
  // an empty PATH: it starts no other program, such as git; and a proxy that nobody is
  const env = { PATH: '/nonexistent', HOME: home, HTTP_PROXY: NOWHERE, HTTPS_PROXY: NOWHERE };
  try {
    const { stdout } = await execute(program, [...argv], {
      cwd: files,
      env,
      signal,
      timeout: TIME_MS,
      killSignal: 'SIGKILL',
      maxBuffer: LIMITS.bytes,
      encoding: 'utf8',
    });
    return stdout;
  } catch (error) {
    signal.throwIfAborted();
    const { code, killed, stderr = '' } = error as { code?: unknown; killed?: boolean; stderr?: string };
    if (code === 'ENOENT') throw noProgram(program);
    const words = stderr.replaceAll(files, '').trim().split('\n').at(-1) ?? '';
    throw programFailed(
      `${program.split('/').at(-1)} ${argv[0]}`,
      killed === true ? 'it took too long' : words.slice(0, 500),
    );
  }
}
