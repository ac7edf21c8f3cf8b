import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

import { openBranchWriter } from './branch-writer.ts';
import type { GitCredential } from './credential.ts';
import { listRefs } from './ls-refs.ts';
import { openMirror } from './mirror.ts';
import { type Forge, type ForgeRepository, startForge } from './testing/forge.ts';
import { type SshServer, startSshServer } from './testing/ssh-server.ts';

let forge: Forge;
let repository: ForgeRepository;
let server: SshServer;

beforeAll(async () => {
  [forge, server] = await Promise.all([startForge(), startSshServer()]);
  repository = await forge.createRepository('over-ssh');
  await repository.commit({ files: { 'apps/web.yaml': 'image: web:1\n' } });
});

afterAll(async () => {
  await server.close();
  await forge.close();
});

test('refs are listed and a commit is read, by the key alone', async () => {
  const head = await repository.git('rev-parse', 'main');
  const listing = await listRefs(server.remoteOf(repository.directory));
  expect(listing).toMatchObject({ kind: 'listed', refs: [{ name: 'refs/heads/main', oid: head }] });
  expect(await listRefs(server.remoteOf(repository.directory), { known: listing.hash })).toMatchObject({
    kind: 'unchanged',
  });
  const mirror = await openMirror({ ...server.remoteOf(repository.directory), directory: await folder() });
  onTestFinished(() => mirror.close());
  await mirror.ensure(head);
  expect((await mirror.file(head, 'apps/web.yaml'))?.toString()).toBe('image: web:1\n');
});

test('a commit is written, and a branch that moved meanwhile is told and not forced', async () => {
  const writer = await openBranchWriter({ ...server.remoteOf(repository.directory), directory: await folder() });
  onTestFinished(() => writer.close());
  const write = async (text: string) => {
    const head = await writer.head('main');
    const draft = await writer.draft(head?.oid ?? '');
    await draft.commit({
      files: new Map([['apps/web.yaml', Buffer.from(text)]]),
      author: { name: 'Towpath', email: 'towpath@example.com' },
      message: text,
      atSeconds: 1_790_000_000,
    });
    return draft;
  };
  expect(await writer.push('main', await write('image: web:2\n'))).toEqual({ kind: 'pushed' });
  expect(await repository.git('show', 'main:apps/web.yaml')).toBe('image: web:2');
  const late = await write('image: web:3\n');
  const other = await repository.commit({ files: { 'README.md': 'another was first\n' } });
  expect(await writer.push('main', late)).toMatchObject({ kind: 'moved' });
  expect(await repository.git('rev-parse', 'main')).toBe(other);
});

test('a key that is not let in, a server that is not known and a repository that is not there are told apart', async () => {
  const elsewhere = join(await folder(), 'known');
  await writeFile(elsewhere, '');
  const asked = (credential: GitCredential, directory = repository.directory) =>
    listRefs({ ...server.remoteOf(directory), credential: async () => credential });
  await expect(asked({ ...server.credential, keyFile: server.strangerKey })).rejects.toMatchObject({
    code: 'git.denied',
  });
  await expect(asked({ ...server.credential, knownHostsFile: elsewhere })).rejects.toMatchObject({
    code: 'git.denied',
  });
  await expect(asked(server.credential, join(repository.directory, 'none'))).rejects.toMatchObject({
    code: 'git.not-found',
  });
});

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'towpath-ssh-'));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}
