import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { parseConfig } from '../config/config.ts';
import { families } from '../config/families.ts';
import { type GitopsConfig, inFolder } from '../deploy/gitops/config.ts';
import { readImage, writeImage } from '../deploy/gitops/image-field.ts';
import { type FileChange, type Forge, type ForgeRepository, startForge } from '../git/testing/forge.ts';
import { sha256 } from '../lib/digest.ts';
import { runLine } from './testing/run.ts';

let forge: Forge;
let folder: string;
let names = 0;

beforeAll(async () => {
  forge = await startForge();
});
afterAll(() => forge.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'towpath-import-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function repository(files: Readonly<Record<string, FileChange>>): Promise<ForgeRepository> {
  const made = await forge.createRepository(`manifests-${(names += 1)}`);
  await made.commit({ files });
  return made;
}

const KUSTOMIZATION = 'resources: [../../base]\nimages:\n  - name: shop/web # ours\n    newTag: v1\n';
const DEPLOYMENT =
  'kind: Deployment\nmetadata: { name: web }\nspec:\n  containers:\n    - { name: web, image: shop/web }\n';
const FILES = {
  'base/web.yaml': DEPLOYMENT,
  'overlays/prod/kustomization.yaml': KUSTOMIZATION,
  'overlays/qa/kustomization.yaml': KUSTOMIZATION,
  'charts/worker/Chart.yaml': 'name: worker\n',
  'charts/worker/templates/job.yaml': 'image: {{ .Values.image }}\n',
  'charts/worker/values.yaml': 'image: { repository: registry.example.com/shop/worker, tag: v0 }\n',
  'charts/worker/values-prod.yaml': 'image: { repository: registry.example.com/shop/worker, tag: v1, digest: "" }\n',
};

const CONFIG = `project: shop
services:
  web: { path: web, build: { dockerfile: {} } }
  worker: { path: worker, build: { dockerfile: {} } }
  tools: { path: tools, base: { dockerfile: {} } }
environments:
  qa: { on: { merge: main }, deploy: docker }
  prod: { on: { tag: "v*" }, from: qa, gates: [{ soak: 1h }], deploy: docker }
`;

/** What a proposal says of each environment, as the driver reads it. */
function targetsOf(text: string): Record<string, GitopsConfig> {
  const { environments } = parseConfig(text, families);
  return Object.fromEntries(
    Object.entries(environments).map(([name, { deploy }]) => [name, deploy.config as GitopsConfig]),
  );
}

test('without a towpath.yaml a whole one is proposed, which is read as the server reads it', async () => {
  const { url } = await repository(FILES);
  const { exit, out, err } = await runLine(['gitops', 'import', url]);
  expect({ exit, err }).toMatchObject({ exit: 0 });
  const targets = targetsOf(out);
  expect(targets).toMatchObject({
    prod: { repository: url, branch: 'main' },
    qa: { repository: url, branch: 'main', folder: 'overlays/qa', services: { web: [{ kustomize: 'shop/web' }] } },
  });
  expect(targets['prod']?.services).toEqual({
    web: [{ file: 'overlays/prod/kustomization.yaml', kustomize: 'shop/web' }],
    worker: [{ file: 'charts/worker/values-prod.yaml', helm: 'image' }],
  });
  expect(out).toContain('external: { image: registry.example.com/shop/worker }');
  expect(out).toContain('# now shop/web:v1');
  expect(err).toContain('! base/web.yaml spec.containers[name=web].image is shared by all environments');
  expect(err).toContain('! charts/worker/templates (1) are templates of a chart');
});

test('with one, its services are looked for, and its environments get a deploy of their own', async () => {
  const { url } = await repository({ ...FILES, 'overlays/prod/redis.yaml': 'image: redis:7\n' });
  const file = join(folder, 'towpath.yaml');
  await writeFile(file, CONFIG);
  const { exit, out, err } = await runLine(['gitops', 'import', url, '--config', file]);
  expect({ exit, err }).toMatchObject({ exit: 0 });
  expect(out).toContain('prod: # it is there');
  expect(out).not.toContain('project:');
  expect(out).toContain('# not found: worker');
  expect(err).toContain('is the image "redis:7", which no service of towpath.yaml is called after');
});

test('what is proposed is what the driver then writes, byte for byte in the place that is named', async () => {
  const made = await repository(FILES);
  const { out } = await runLine(['gitops', 'import', made.url]);
  const image = { digest: sha256('v2'), tag: 'v2' };
  for (const { folder: below, services, write } of Object.values(targetsOf(out)))
    for (const place of Object.values(services).flatMap((places) => places.map((one) => inFolder(below, one)))) {
      const before = Buffer.from(`${await made.git('show', `main:${place.file}`)}\n`);
      expect(readImage(writeImage(before, place, image, write), place)).toBe(image.digest);
    }
});

test('branches that are called as environments are read too, and others when they are named', async () => {
  const made = await repository({ 'README.md': 'Nothing here.\n' });
  await made.commit({ branch: 'env/qa', files: { 'web.yaml': DEPLOYMENT } });
  await made.commit({ branch: 'env/prod', files: { 'web.yaml': DEPLOYMENT } });
  await made.commit({ branch: 'draft', files: { 'web.yaml': DEPLOYMENT } });
  const all = await runLine(['gitops', 'import', made.url]);
  expect(targetsOf(all.out)).toMatchObject({ prod: { branch: 'env/prod' }, qa: { branch: 'env/qa' } });
  const one = await runLine(['gitops', 'import', made.url, '--branch', 'draft']);
  expect(targetsOf(one.out)).toMatchObject({ prod: { branch: 'draft' } });
  expect(one.out).toContain('nothing in the repository names an environment');
  const none = await runLine(['gitops', 'import', made.url, '--branch', 'nowhere']);
  expect(none).toMatchObject({ exit: 1, err: expect.stringContaining('Choose of draft, env/prod, env/qa, main.') });
});

test('a clone on this machine is proposed by the address that it came from', async () => {
  const made = await repository(FILES);
  await made.git('config', 'remote.origin.url', 'https://ana:secret@git.example.com/team/manifests.git');
  const { exit, out } = await runLine(['gitops', 'import', made.directory]);
  expect(exit).toBe(0);
  expect(targetsOf(out)['qa']?.repository).toBe('https://git.example.com/team/manifests.git');
  expect(out).not.toContain('secret');
});

test('a credential is a reference, and stands in the proposal as one', async () => {
  const closed = await startForge({ authorization: `Basic ${Buffer.from('git:pass-1234').toString('base64')}` });
  try {
    const made = await closed.createRepository('manifests');
    await made.commit({ files: FILES });
    const line = ['gitops', 'import', made.url, '--credential', 'env:MANIFESTS'];
    const { exit, out, err } = await runLine(line, { env: { MANIFESTS: 'git:pass-1234' } });
    expect({ exit, err }).toMatchObject({ exit: 0 });
    expect(targetsOf(out)['prod']?.credential).toBe('env:MANIFESTS');
    expect(out + err).not.toContain('pass-1234');
    expect(await runLine(line, { env: { MANIFESTS: 'git:wrong' } })).toMatchObject({
      exit: 1,
      err: expect.stringContaining('git.denied'),
    });
  } finally {
    await closed.close();
  }
});

test('--json says all of it, also what was left out', async () => {
  const { url } = await repository(FILES);
  const { out } = await runLine(['gitops', 'import', url, '--json']);
  const data = JSON.parse(out) as { text: string; leftOut: unknown[]; environments: { name: string }[] };
  expect(data.environments.map(({ name }) => name).toSorted()).toEqual(['prod', 'qa']);
  expect(data.leftOut).toContainEqual({
    where: 'charts/worker/templates (1)',
    why: 'are templates of a chart: its values hold the images',
  });
  expect(Object.keys(targetsOf(data.text))).toHaveLength(2);
});

test('a hostile repository is looked through, and nothing of it gets out of the proposal', async () => {
  const levels = Array.from(
    { length: 30 },
    (_, at) => `a${at}: &a${at} [${at === 0 ? 'x' : `*a${at - 1}, *a${at - 1}`}]`,
  );
  const { url } = await repository({
    ...FILES,
    'overlays/prod/link.yaml': { link: '/etc/passwd' },
    'overlays/prod/large.yaml': `image: a/b\n${'#'.repeat(600 * 1024)}`,
    'overlays/prod/aliases.yaml': `image: a/aliased\n${levels.join('\n')}\n`,
    'overlays/prod/deep.yaml': `image: a/deep\nx: ${'['.repeat(5000)}`,
    'overlays/prod/binary.yaml': Buffer.from('image: \xff\xfe\0', 'latin1'),
    'overlays/prod/\u202egnp.yaml': 'image: a/hidden\n',
    'overlays/prod/back\\slash.yaml': 'image: a/slash\n',
    'overlays/prod/escape.yaml':
      'kind: "A\\n\\e[31m"\nmetadata: {name: "a\\0\\n  evil: true"}\nimage: a/escape\n---\nimage: b/other\n',
    'overlays/prod/names.yaml': '"a\\n# b": {image: a/line}\n"{{ x }}: [": {image: a/flow}\n',
    'overlays/__proto__/web.yaml': 'constructor: {image: a/proto}\n',
  });
  const { exit, out, err } = await runLine(['gitops', 'import', url]);
  expect({ exit, err }).toMatchObject({ exit: 0 });
  const services = Object.values(targetsOf(out)).flatMap((target) => Object.keys(target.services));
  expect([...new Set(services)].toSorted()).toEqual(['aliased', 'flow', 'proto', 'web', 'worker']);
  for (const said of ['symbolic links (1) are not followed', 'has more than 512 kB', 'nested too deep', 'not UTF-8'])
    expect(err).toContain(said);
  // oxlint-disable-next-line no-control-regex -- these are looked for
  expect(out + err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
});

test('--write makes a towpath.yaml where there is none, and never writes over one', async () => {
  const { url } = await repository(FILES);
  const file = join(folder, 'towpath.yaml');
  const at = process.cwd();
  process.chdir(folder);
  try {
    expect(await runLine(['gitops', 'import', url, '--write'])).toMatchObject({ exit: 0 });
    const text = await readFile(file, 'utf8');
    expect(Object.keys(targetsOf(text))).toHaveLength(2);
    expect(await runLine(['gitops', 'import', url, '--write'])).toMatchObject({
      exit: 1,
      err: expect.stringContaining('cli.file-exists'),
    });
    expect(await readFile(file, 'utf8')).toBe(text);
  } finally {
    process.chdir(at);
  }
});

test('where nothing is found, that is said with what to do', async () => {
  const { url } = await repository({ 'README.md': 'Nothing\n' });
  expect(await runLine(['gitops', 'import', url])).toMatchObject({
    exit: 1,
    err: expect.stringContaining('None of the 1 files'),
  });
  expect(await runLine(['gitops', 'import', folder])).toMatchObject({
    exit: 1,
    err: expect.stringContaining('is not the root of a git repository'),
  });
  const empty = await forge.createRepository('nothing');
  expect(await runLine(['gitops', 'import', empty.url])).toMatchObject({
    err: expect.stringContaining('Push something'),
  });
});
