import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { makeTestImage } from '../../../../tools/test-machine/image.ts';
import { pushTestImage } from '../../../../tools/test-machine/oci-image.ts';
import { debianRegistryHost, dockerHost } from '../../../../tools/test-machine/machine.ts';
import { connectDocker, type DockerEngine, dockerWhenNeeded } from '../../../container/docker/engine.ts';
import { pullImage } from '../../../container/docker/images.ts';
import { dockerTaskRunner } from '../../../container/docker/task-runner.ts';
import type { GitMode, SourceTree } from '../../../git/tree.ts';
import { isDigest, sha256, sha256Hex, type Digest } from '../../../lib/digest.ts';
import { noLog } from '../../../lib/log.ts';
import { noSmallDisk, smallDisk } from '../../../lib/testing/small-disk.ts';
import type { BuildRequest } from '../../builder.ts';
import type { ImageReader } from '../../image-store.ts';
import { createDockerfileBuilder } from './dockerfile-builder.ts';
import { buildahTool } from './buildah-tool.ts';
import { dockerTool } from './docker-tool.ts';
import { findDockerfileTool } from './find-tool.ts';
import type { DockerfileTool } from './tool.ts';

let host: string;
let engine: DockerEngine;
let directory: string;
let base: { name: string; digest: Digest };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'towpath-buildah-test-'));
  host = await debianRegistryHost();
  engine = await connectDocker({ host: await dockerHost() });
  const image = await makeTestImage({ base: 'busybox', argv: ['sh'] });
  await pushTestImage(host, 'base/busybox', image);
  base = { name: `${host}/base/busybox:1`, digest: image.digest };
});

afterAll(() => rm(directory, { recursive: true, force: true }));

test('the recipe of a fork is the Dockerfile and what is said of it, and none that leaves something to other builds', async () => {
  const builder = createDockerfileBuilder({ images: registryReader(), registryHost: host, tool: async () => null });
  const of = async (text: string, target?: string) =>
    builder.recipe?.(
      { file: 'Dockerfile', args: {}, ...(target === undefined ? {} : { target }) },
      sourceOf({ Dockerfile: text }),
    );
  expect(await of('FROM busybox:1\n')).toEqual(await of('FROM busybox:1\n'));
  expect(await of('FROM busybox:1\n')).not.toEqual(await of('FROM busybox:2\n'));
  expect(await of('FROM busybox:1\n')).not.toEqual(await of('FROM busybox:1\n', 'build'));
  for (const mount of [
    'type=cache,target=/c',
    'target=/c,type=cache',
    '"type=cache,target=/c"',
    'type="cache",target=/c',
  ])
    await expect(of(`FROM busybox:1\nRUN --mount=${mount} true\n`)).rejects.toMatchObject({
      code: 'artifact.shared-cache',
    });
});

describe.each([
  ['docker', () => dockerTool(engine)],
  ['buildah', () => buildahTool({ directory, credentials: () => Promise.resolve(null) })],
] as const)('built with %s', (name, tool) => {
  test('an image is made of git objects on a pinned base and rests in the registry under its digest', async () => {
    const files = {
      Dockerfile: `FROM ${base.name} AS build\nARG WHO\nCOPY . /app\nRUN echo "made for $WHO" > /app/made\nFROM build\nCMD ["sh", "-c", "cat /app/made /app/run.sh; ls /app; ls -l /app/run.sh /app/link"]\n`,
      '.dockerignore': '*.md\n.dockerignore\n',
      'README.md': 'not in it',
      'run.sh': { mode: '100755' as const, text: 'echo hello\n' },
      link: { mode: '120000' as const, text: '../../etc/passwd' },
    };
    const { built, lines } = await build(files, tool(), { args: { WHO: 'us' } });
    expect(built).toMatchObject({
      isolation: name,
      materials: [{ uri: `oci://${base.name.replace(':1', '')}@${base.digest}`, digest: base.digest }],
    });
    expect(isDigest(built.digest)).toBe(true);
    expect(built.sizeBytes).toBeGreaterThan(1_000_000);
    expect(lines.join('\n')).toMatch(/RUN echo "made for/);

    const output = await runImage(`${host}/shop/receipt@${built.digest}`);
    expect(output).toEqual(expect.arrayContaining(['made for us', 'echo hello', 'link', 'made', 'run.sh']));
    expect(output.join('\n')).toMatch(/rwxr-xr-x.*run\.sh/);
    expect(output.join('\n')).toContain('/app/link -> ../../etc/passwd');
    expect(output).not.toContain('README.md');
    expect(output).not.toContain('.dockerignore');
  });

  test('a base service stands in FROM and COPY under its name, and its very image is under what is built', async () => {
    const made = await build({ Dockerfile: `FROM ${base.name}\nRUN echo parent > /parent\n` }, tool());
    const parents = { 'node-base': { repository: 'shop/receipt', digest: made.built.digest } };
    const files = {
      Dockerfile: `FROM node-base AS one\nFROM ${base.name}\nCOPY --from=node-base /parent /copied\nCOPY --from=one /parent /other\nCMD ["cat", "/copied", "/other"]\n`,
    };
    const { built } = await build(files, tool(), { parents });
    expect(built.materials.map(({ digest }) => digest)).toEqual([made.built.digest, base.digest]);
    expect(await runImage(`${host}/shop/receipt@${built.digest}`)).toEqual(['parent', 'parent']);
    const child = await build({ Dockerfile: 'FROM node-base\nRUN cat /parent\n' }, tool(), { parents });
    const [below, whole] = [await layersOf(made.built.digest), await layersOf(child.built.digest)];
    expect(whole.slice(0, below.length)).toEqual(below);
  });

  test('a step that fails fails the build, with its output in the log', async () => {
    const files = { Dockerfile: `FROM ${base.name}\nRUN echo before; echo to-errors >&2; exit 3\n` };
    const lines: string[] = [];
    const problem = { code: `${name}.build-failed`, what: expect.stringMatching(/failed: .*(exit|return)/) as string };
    await expect(build(files, tool(), {}, lines)).rejects.toMatchObject(problem);
    expect(lines.join('\n')).toContain('before');
    expect(lines.join('\n')).toContain('to-errors');
  });

  test('a link that leads out of the context finds nothing, and that is said', async () => {
    const files = {
      Dockerfile: `FROM ${base.name}\nCOPY out /out\n`,
      out: { mode: '120000' as const, text: '/etc/passwd' },
    };
    const what = expect.stringMatching(/failed: .*(no such file|not found)/i) as string;
    await expect(build(files, tool())).rejects.toMatchObject({ code: `${name}.build-failed`, what });
  });

  test('a build that is called off ends at once, with the reason', async () => {
    const files = { Dockerfile: `FROM ${base.name}\nRUN echo working; sleep 1000\n` };
    const off = new AbortController();
    const log = (line: string): void => {
      if (/^(#\d+ )?working$/.test(line)) off.abort(new Error('superseded'));
    };
    await expect(request(files, tool(), {}, log, off.signal)).rejects.toThrow('superseded');
  });

  test('two builds at once do not take each other for their own', async () => {
    const [one, other] = await Promise.all(
      ['one', 'other'].map((text) =>
        build({ Dockerfile: `FROM ${base.name}\nRUN echo ${text} > /text\nCMD ["cat","/text"]\n` }, tool()),
      ),
    );
    expect(await runImage(`${host}/shop/receipt@${one?.built.digest}`)).toEqual(['one']);
    expect(await runImage(`${host}/shop/receipt@${other?.built.digest}`)).toEqual(['other']);
  });

  test('a file that did not come from git is refused, and the build does not hang', async () => {
    const lfs = 'version https://git-lfs.github.com/spec/v1\noid sha256:1\n';
    const files = { Dockerfile: `FROM ${base.name}\nCOPY . /\n`, 'big.bin': lfs };
    await expect(build(files, tool())).rejects.toMatchObject({ code: 'artifact.lfs-pointer' });
    const submodule = { Dockerfile: `FROM ${base.name}\n`, lib: { mode: '160000' as const, text: '' } };
    await expect(build(submodule, tool())).rejects.toMatchObject({ code: 'artifact.submodule' });
  });
});

test.skipIf(noSmallDisk !== null)(
  'a full disk is no verdict on a Dockerfile, which is built when there is space',
  async () => {
    const disk = smallDisk(64);
    onTestFinished(() => disk.remove());
    const tool = buildahTool({ directory: disk.directory, credentials: () => Promise.resolve(null) });
    const files = { Dockerfile: `FROM ${base.name}\nRUN echo made > /made\n` };
    disk.fill(1_000_000);
    await expect(build(files, tool)).rejects.toMatchObject({ code: 'disk.full' });
    disk.free();
    expect(isDigest((await build(files, tool)).built.digest)).toBe(true);
  },
);

test('a base that was pulled is not asked for again: the build itself needs no credentials', async () => {
  const gone = await makeTestImage({ base: 'busybox', argv: ['sh'], files: { '/private': 'base' } });
  const reference = await pushTestImage(host, 'base/private', gone);
  await pullImage(engine, reference, { log: noLog, signal: new AbortController().signal });
  await fetch(`http://${host}/v2/base/private/manifests/${gone.digest}`, { method: 'DELETE' });
  const { built } = await build({ Dockerfile: `FROM ${reference}\nRUN cat /private\n` }, dockerTool(engine));
  expect(built.materials).toEqual([{ uri: `oci://${reference}`, digest: gone.digest }]);
});

test('the engine is preferred, Buildah takes its place, and a broken setting is not hidden', async () => {
  const buildah = { directory, credentials: () => Promise.resolve(null) };
  const found = await findDockerfileTool({ engine: () => Promise.resolve(engine), buildah });
  expect(found?.name).toBe('docker');
  const without = await findDockerfileTool({ engine: dockerWhenNeeded({ host: 'unix:///nowhere.sock' }), buildah });
  expect(without?.name).toBe('buildah');
  const wrong = findDockerfileTool({ engine: dockerWhenNeeded({ host: 'nonsense' }), buildah });
  await expect(wrong).rejects.toMatchObject({ code: 'docker.host-invalid' });
});

test('only what the build can see is an input: a change of an ignored file leaves the key as it was', async () => {
  const files = {
    Dockerfile: 'FROM scratch\n',
    '.dockerignore': 'docs\n!docs/keep',
    'docs/a': '',
    'docs/keep': '',
    src: '',
  };
  const builder = createDockerfileBuilder({
    images: registryReader(),
    registryHost: host,
    tool: () => Promise.resolve(null),
  });
  const { entries } = await builder.inputs({ file: 'Dockerfile', args: {} }, sourceOf(files));
  expect(entries.map(({ path }) => path)).toEqual(['.dockerignore', 'Dockerfile', 'docs/keep', 'src']);
});

test('references to be pinned are those without a digest, each once', async () => {
  const builder = createDockerfileBuilder({
    images: registryReader(),
    registryHost: host,
    tool: () => Promise.resolve(null),
  });
  const source = sourceOf({ Dockerfile: `FROM a:1 AS x\nFROM a:1\nCOPY --from=b@${sha256('')} / /\n` });
  expect(await builder.baseReferences({ file: 'Dockerfile', args: {} }, source)).toEqual(['a:1']);
});

test('no Dockerfile, no tool, or a path that leaves the service is refused with what to do', async () => {
  await expect(request({ 'a.txt': '' }, dockerTool(engine))).rejects.toMatchObject({
    code: 'artifact.dockerfile-missing',
  });
  await expect(request({ Dockerfile: 'FROM scratch' }, null)).rejects.toMatchObject({ code: 'artifact.no-docker' });
  const { definition } = createDockerfileBuilder({
    images: registryReader(),
    registryHost: host,
    tool: () => Promise.resolve(null),
  });
  expect(definition.parse({})).toEqual({ file: 'Dockerfile', args: {} });
  for (const file of ['/etc/passwd', '../x', 'a/../../x', '.', 'a/..'])
    expect(definition.safeParse({ file }).success).toBe(false);
});

type Files = Readonly<Record<string, string | { mode: GitMode; text: string }>>;
interface Settings {
  readonly args?: Record<string, string>;
  readonly parents?: BuildRequest<unknown>['parents'];
}

async function build(files: Files, tool: DockerfileTool, settings: Settings = {}, lines: string[] = []) {
  const built = await request(files, tool, settings, (line) => lines.push(line));
  return { built, lines };
}

function request(
  files: Files,
  tool: DockerfileTool | null,
  settings: Settings = {},
  log: (line: string) => void = noLog,
  signal = new AbortController().signal,
) {
  const builder = createDockerfileBuilder({
    images: registryReader(),
    registryHost: host,
    tool: () => Promise.resolve(tool),
  });
  return builder.build({
    definition: { file: 'Dockerfile', from: Object.keys(settings.parents ?? {}), args: settings.args ?? {} },
    source: sourceOf(files),
    platform: process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64',
    repository: 'shop/receipt',
    pins: { [base.name]: base.digest },
    parents: settings.parents ?? {},
    log,
    signal,
  });
}

function sourceOf(files: Files): SourceTree {
  const blobs = new Map<string, Buffer>();
  const entries = Object.entries(files)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([path, file]) => {
      const { mode, text } = typeof file === 'string' ? { mode: '100644' as const, text: file } : file;
      const oid = sha256Hex(text).slice(0, 40);
      blobs.set(oid, Buffer.from(text));
      return { mode, path, oid };
    });
  const read = (oid: string): Promise<Buffer> => Promise.resolve(blobs.get(oid) ?? Buffer.alloc(0));
  return { entries, read, prefetch: () => Promise.resolve() };
}

async function layersOf(digest: Digest): Promise<string[]> {
  const manifest = await registryReader().manifest('shop/receipt', digest);
  const { layers } = JSON.parse(String(manifest?.bytes)) as { layers: { digest: string }[] };
  return layers.map((layer) => layer.digest);
}

async function runImage(reference: string): Promise<string[]> {
  const lines: string[] = [];
  const config = { entrypoint: [], command: [], env: {}, workdir: '', user: '' };
  const name = `towpath-test-${sha256Hex(reference).slice(0, 8)}`;
  const options = { signal: new AbortController().signal, timeoutMs: 30_000 };
  await dockerTaskRunner(engine).run(
    { name, image: { reference, config }, env: {} },
    { ...options, log: (line) => lines.push(line) },
  );
  return lines.filter((line) => !/^[^ ]+: [A-Z]|^Digest: |^Status: /.test(line));
}

/** The reading half of an image store over HTTP, as small as this test needs it. */
function registryReader(): ImageReader {
  return {
    async manifest(repository, reference) {
      const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json';
      const answer = await fetch(`http://${host}/v2/${repository}/manifests/${reference}`, { headers: { accept } });
      if (!answer.ok) return null;
      const bytes = Buffer.from(await answer.arrayBuffer());
      return { digest: sha256(bytes), mediaType: answer.headers.get('content-type') ?? '', bytes };
    },
    readBlob: () => Promise.reject(new Error('no layer is read')),
  };
}
