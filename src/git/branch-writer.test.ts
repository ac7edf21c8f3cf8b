import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { type BranchWriter, openBranchWriter } from './branch-writer.ts';
import type { Draft } from './draft.ts';
import { type Forge, type ForgeRepository, startForge } from './testing/forge.ts';

const AUTHOR = { name: 'Towpath', email: 'towpath@example.com' };
const AT = 1_790_000_000;

let forge: Forge;
let repository: ForgeRepository;
let directory: string;
let writer: BranchWriter;

/** @param lookMs by default no push takes so long that it is looked for others meanwhile */
async function open(lookMs = 600_000): Promise<BranchWriter> {
  return openBranchWriter({ url: repository.url, allow: ['http'], directory }, { lookMs });
}

/** A hook that goes on when it is let, and then says so in a file. @returns lets it */
async function holdIn(hook: string): Promise<() => Promise<void>> {
  const [path, go] = [join(repository.directory, 'hooks', hook), join(repository.directory, 'go')];
  const wait = `for count in $(seq 1200); do [ -e '${go}' ] && : > '${go}.seen' && exit 0; sleep 0.05; done`;
  await writeFile(path, `#!/bin/sh\n${wait}\n: > '${go}.never'\nexit 1\n`);
  await chmod(path, 0o755);
  return async () => {
    expect(await readdir(repository.directory)).not.toContain('go.never'); // nobody waited for it
    await writeFile(go, '');
  };
}

/** What a server says of where main is. */
function listing(oid: string): { status: number; headers: Record<string, string>; body: string } {
  const line = `${oid} refs/heads/main\n`;
  const body = `${(line.length + 4).toString(16).padStart(4, '0')}${line}0000`;
  return { status: 200, headers: { 'content-type': 'application/x-git-upload-pack-result' }, body };
}

beforeEach(async () => {
  forge = await startForge();
  directory = await mkdtemp(join(tmpdir(), 'towpath-writer-'));
  repository = await forge.createRepository('manifests');
  await repository.commit({
    files: { 'apps/web.yaml': 'image: web:1\n', 'apps/run.sh': { run: 'true\n' }, 'README.md': 'x' },
  });
  writer = await open();
});

afterEach(async () => {
  await writer.close();
  await forge.close();
  await rm(directory, { recursive: true, force: true });
});

/** So many commits more than main has. */
async function history(many: number): Promise<void> {
  const tree = await repository.git('rev-parse', 'main^{tree}');
  let tip = await repository.git('rev-parse', 'main');
  for (let count = 0; count < many; count++)
    tip = await repository.git('commit-tree', tree, '-p', tip, '-m', `${count}`);
  await repository.git('update-ref', 'refs/heads/main', tip);
}

async function draftOn(branch = 'main', of = writer): Promise<Draft> {
  const head = await of.head(branch);
  if (head === null) throw new Error(`There is no ${branch}.`);
  return of.draft(head.oid);
}

async function write(draft: Draft, files: Record<string, string>, message = 'change'): Promise<string> {
  const bytes = new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)]));
  return draft.commit({ files: bytes, author: AUTHOR, message, atSeconds: AT });
}

describe('commits without a work tree', () => {
  test('several in one push, each a change of its files and of nothing else, and git finds no fault with them', async () => {
    const draft = await draftOn();
    await write(draft, { 'apps/web.yaml': 'image: web:2\n' }, 'two');
    const last = await write(
      draft,
      { 'apps/web.yaml': 'image: web:3\n', 'apps/run.sh': 'false\n' },
      'three\n\nTowpath-Promotion: p1',
    );
    expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
    expect(await repository.git('rev-parse', 'main')).toBe(last);
    expect(
      await repository.git(
        'log',
        '--format=%s|%an|%cn|%ct|%(trailers:key=Towpath-Promotion,valueonly,separator=)',
        'main',
      ),
    ).toBe(`three|Towpath|Towpath|${AT}|p1\ntwo|Towpath|Towpath|${AT}|\nchange|Ada Example|Ada Example|1760000000|`);
    expect(await repository.git('diff', '--raw', '--abbrev=4', 'main~1', 'main')).toMatch(
      /^:100755 100755 .* M\tapps\/run.sh\n:100644 100644 .* M\tapps\/web.yaml$/,
    );
    expect(await repository.git('cat-file', 'blob', 'main:apps/web.yaml')).toBe('image: web:3');
    expect(await repository.git('fsck', '--strict', '--no-dangling')).toBe('');
    expect(
      forge.requests.filter((request) => request.startsWith('POST') && request.includes('receive-pack')),
    ).toHaveLength(1);
  });

  test('the same commit upon the same parent has the same id', async () => {
    const ids = await Promise.all(
      [await draftOn(), await draftOn()].map((draft) => write(draft, { 'README.md': 'y' })),
    );
    expect(ids[0]).toBe(ids[1]);
  });

  test('what is changed and changed back, many times over, arrives as it stands', async () => {
    const draft = await draftOn();
    for (let turn = 0; turn < 130; turn++)
      await write(draft, { 'apps/web.yaml': turn % 2 === 0 ? 'image: web:2\n' : 'image: web:1\n' }, `turn ${turn}`);
    for (let turn = 0; turn < 70; turn++)
      await write(draft, { 'apps/web.yaml': `image: web:${turn}\n` }, `more ${turn}`);
    expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
    expect(await repository.git('rev-list', '--count', 'main')).toBe('201');
    expect(await repository.git('cat-file', 'blob', 'main:apps/web.yaml')).toBe('image: web:69');
    expect(await repository.git('fsck', '--strict', '--no-dangling')).toBe('');
  });

  test('it goes on from its own commits, and from those of others', async () => {
    const first = await draftOn();
    await write(first, { 'README.md': '1' });
    await writer.push('main', first);
    await repository.commit({ files: { 'README.md': '2' } });
    const second = await draftOn();
    expect(String(await second.read('README.md'))).toBe('2');
    await write(second, { 'README.md': '3' });
    expect(await writer.push('main', second)).toEqual({ kind: 'pushed' });
    expect(await repository.git('rev-list', '--count', 'main')).toBe('4');
  });

  test('a repository of sha256 objects is written as well', async () => {
    repository = await forge.createRepository('newer', { objectFormat: 'sha256' });
    await repository.commit({ files: { 'a/b.yaml': 'x' } });
    directory = join(directory, 'newer');
    const other = await open();
    const draft = await draftOn('main', other);
    await write(draft, { 'a/b.yaml': 'y' });
    expect(await other.push('main', draft)).toEqual({ kind: 'pushed' });
    expect(await repository.git('cat-file', 'blob', 'main:a/b.yaml')).toBe('y');
    await other.close();
  });

  test('what is at a path is told, and a link is never followed', async () => {
    await repository.commit({ files: { link: { link: 'README.md' }, 'apps/sub': { link: '/etc' } } });
    const draft = await draftOn();
    expect(await draft.at('link')).toEqual({ kind: 'link', path: 'link' });
    expect(await draft.at('apps/sub/passwd')).toEqual({ kind: 'link', path: 'apps/sub' });
    expect(await draft.at('apps')).toEqual({ kind: 'folder', path: 'apps' });
    expect(await draft.at('nothing/here')).toEqual({ kind: 'none' });
    expect(await draft.at('README.md/x')).toEqual({ kind: 'none' });
    await expect(write(draft, { link: 'x' })).rejects.toMatchObject({ code: 'git.object-missing' });
  });

  test('the default branch is meant where none is named, and a branch that is not there is none', async () => {
    expect(await writer.head(null)).toMatchObject({ branch: 'main' });
    expect(await writer.head('nowhere')).toBeNull();
  });
});

describe('a push tells where the branch is afterwards', () => {
  test('somebody was faster: nothing of theirs is lost', async () => {
    const draft = await draftOn();
    await write(draft, { 'README.md': 'ours' });
    const theirs = await repository.commit({ files: { 'apps/web.yaml': 'theirs' } });
    expect(await writer.push('main', draft)).toEqual({ kind: 'moved', head: theirs });
    expect(await repository.git('rev-parse', 'main')).toBe(theirs);
  });

  test('a branch that was deleted is not made again', async () => {
    const draft = await draftOn();
    await write(draft, { 'README.md': 'ours' });
    await repository.git('update-ref', '-d', 'refs/heads/main');
    expect(await writer.push('main', draft)).toEqual({ kind: 'gone' });
    expect(await repository.git('for-each-ref')).toBe('');
  });

  test('commits that were taken back from the branch do not come again with ours', async () => {
    const before = await repository.git('rev-parse', 'main');
    await repository.commit({ files: { 'README.md': 'a secret' } });
    const draft = await draftOn();
    await write(draft, { 'apps/web.yaml': 'ours' });
    await repository.git('update-ref', 'refs/heads/main', before);
    expect(await writer.push('main', draft)).toEqual({ kind: 'moved', head: before });
    expect(await repository.git('rev-parse', 'main')).toBe(before);
  });

  test('a server that takes nothing is heard, without what colours its words', async () => {
    const hook = join(repository.directory, 'hooks', 'pre-receive');
    await writeFile(hook, `#!/bin/sh\nprintf '\\033[31mmain is protected: connection refused, 404\\n' >&2\nexit 1\n`);
    await chmod(hook, 0o755);
    await repository.git('config', 'receive.unpackLimit', '1'); // then it tells how far it is, where it is not asked to be quiet
    const draft = await draftOn();
    await write(draft, { 'apps/web.yaml': 'ours' });
    expect(await writer.push('main', draft)).toEqual({
      kind: 'refused',
      said: 'main is protected: connection refused, 404 [remote rejected] (pre-receive hook declined)',
    });
  });

  test('an answer that was lost after the commits arrived is no failure', async () => {
    const draft = await draftOn();
    const id = await write(draft, { 'README.md': 'ours' });
    const hook = join(repository.directory, 'hooks', 'reference-transaction');
    await writeFile(hook, `#!/bin/sh\n[ "$1" = committed ] && kill -9 $PPID\nexit 0\n`); // the server dies before it says so
    await chmod(hook, 0o755);
    const before = fetches();
    expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
    expect(fetches()).toBe(before + 1); // it was asked where the branch is
    expect(await repository.git('rev-parse', 'main')).toBe(id);
  });

  test('a push is done when the server says so: nobody waits for what it does afterwards', async () => {
    const letGo = await holdIn('post-receive');
    const draft = await draftOn();
    const id = await write(draft, { 'README.md': 'ours' });
    expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
    expect(await repository.git('rev-parse', 'main')).toBe(id);
    const closing = writer.close();
    await letGo();
    await closing;
    expect(await readdir(repository.directory)).toContain('go.seen'); // to hang up would have ended it
  });

  test('somebody was faster while a push is under way: it is known before the server is through with it', async () => {
    await writer.close();
    writer = await open(1);
    const letGo = await holdIn('pre-receive');
    const draft = await draftOn();
    await write(draft, { 'README.md': 'ours' });
    const pushing = writer.push('main', draft);
    const theirs = await repository.commit({ files: { 'apps/web.yaml': 'theirs' } });
    expect(await pushing).toEqual({ kind: 'moved', head: theirs });
    const anew = await writer.draft(theirs);
    const ours = await write(anew, { 'README.md': 'ours' });
    await letGo();
    expect(await writer.push('main', anew)).toEqual({ kind: 'pushed' });
    expect(await repository.git('log', '--format=%H', 'main')).toMatch(new RegExp(`^${ours}\n${theirs}\n`));
  });

  test('what a server is asked for the pushes of all branches is not called off with that of one', async () => {
    await writer.close();
    writer = await open(1);
    await repository.commit({ branch: 'other', files: { 'README.md': 'other' } });
    const [lost, other] = [await draftOn(), await draftOn('other')];
    await write(lost, { 'README.md': 'ours' });
    await write(other, { 'README.md': 'ours' });
    const path = '/info/refs?service=git-receive-pack';
    const able = await (await fetch(`${repository.url}${path}`)).text();
    const letGo: (() => void)[] = [];
    forge.api = ({ url = '' }, response) => {
      if (!url.endsWith(path)) return false;
      letGo.push(() => response.end(able));
      return true;
    };
    const pushing = [writer.push('main', lost), writer.push('other', other)];
    await vi.waitFor(() => expect(letGo).toHaveLength(1), { timeout: 30_000 });
    const theirs = await repository.commit({ files: { 'apps/web.yaml': 'theirs' } });
    expect(await pushing[0]).toEqual({ kind: 'moved', head: theirs });
    letGo[0]?.();
    expect(await pushing[1]).toEqual({ kind: 'pushed' });
  });

  test('a look that shows the branch as it was before is none: servers may be behind each other', async () => {
    await writer.close();
    writer = await open(1);
    await history(70);
    const first = await draftOn();
    await write(first, { 'README.md': '1' });
    expect(await writer.push('main', first)).toEqual({ kind: 'pushed' });
    const draft = await writer.draft(first.tip());
    const ours = await write(draft, { 'README.md': '2' });
    const letGo = await holdIn('pre-receive');
    let looks = 0;
    forge.answer = ({ url = '' }) => {
      if (!url.endsWith('/git-upload-pack')) return undefined;
      looks += 1;
      return listing(first.base);
    };
    const asked = forge.requests.length;
    const pushing = writer.push('main', draft);
    await vi.waitFor(() => expect(looks).toBeGreaterThan(1), { timeout: 30_000 });
    await letGo();
    expect(await pushing).toEqual({ kind: 'pushed' });
    expect(await repository.git('rev-parse', 'main')).toBe(ours);
    expect(forge.requests.slice(asked).filter((one) => one.includes('info/refs?service=git-upload-pack'))).toEqual([]);
  });

  test('nor is one after the push, whatever became of that: it is tried again', async () => {
    const first = await draftOn();
    await write(first, { 'README.md': '1' });
    expect(await writer.push('main', first)).toEqual({ kind: 'pushed' });
    const draft = await writer.draft(first.tip());
    await write(draft, { 'README.md': '2' });
    forge.answer = ({ url = '' }) => (url.endsWith('/git-upload-pack') ? listing(first.base) : { status: 502 });
    await expect(writer.push('main', draft)).rejects.toMatchObject({ code: 'git.unreachable' });
    forge.answer = undefined;
    const theirs = await repository.commit({ files: { 'apps/web.yaml': 'theirs' } });
    forge.answer = ({ url = '' }) => (url.endsWith('/git-upload-pack') ? listing(first.tip()) : undefined);
    await expect(writer.push('main', draft)).rejects.toMatchObject({ code: 'git.behind' });
    forge.answer = undefined;
    expect(await writer.push('main', draft)).toEqual({ kind: 'moved', head: theirs });
  });

  test('others that commit elsewhere, and looks that fail, are nothing to a push', async () => {
    await writer.close();
    writer = await open(1);
    const letGo = await holdIn('pre-receive');
    const draft = await draftOn();
    await write(draft, { 'README.md': 'ours' });
    const pushing = writer.push('main', draft);
    await repository.commit({ branch: 'main2', files: { 'README.md': 'theirs' } });
    const before = fetches();
    forge.answer = ({ url = '' }) => (url.includes('upload-pack') ? { status: 500 } : undefined);
    await vi.waitFor(() => expect(fetches()).toBeGreaterThan(before), { timeout: 30_000 });
    await letGo();
    expect(await pushing).toEqual({ kind: 'pushed' });
  });

  test('a server that fails is a failure of the way, and the branch is as it was', async () => {
    const before = await repository.git('rev-parse', 'main');
    const draft = await draftOn();
    await write(draft, { 'README.md': 'ours' });
    forge.answer = (request) => (request.url?.includes('receive-pack') === true ? { status: 502 } : undefined);
    await expect(writer.push('main', draft)).rejects.toMatchObject({ code: 'git.unreachable' });
    expect(await repository.git('rev-parse', 'main')).toBe(before);
  });
});

test('a server that cannot read the pack as we send it is sent one by git', async () => {
  const draft = await draftOn();
  const id = await write(draft, { 'apps/web.yaml': 'ours' });
  let refusals = 0;
  forge.answer = ({ method, url = '' }) =>
    method === 'POST' && url.endsWith('git-receive-pack') && refusals++ === 0 ? { status: 400 } : undefined;
  expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
  expect(await repository.git('rev-parse', 'main')).toBe(id);
  expect(refusals).toBe(2);
});

test('a server that asks to be left alone is left alone', async () => {
  const draft = await draftOn();
  await write(draft, { 'apps/web.yaml': 'ours' });
  const before = forge.requests.length;
  forge.answer = ({ url = '' }) =>
    url.includes('receive-pack') ? { status: 429, headers: { 'retry-after': '60' } } : undefined;
  await expect(writer.push('main', draft)).rejects.toMatchObject({ code: 'git.busy', retryAfterMs: 60_000 });
  expect(forge.requests.slice(before).filter((one) => one.includes('receive-pack'))).toHaveLength(1);
});

test('a pen that another process swept is made anew', async () => {
  await writer.head('main');
  await rm(join(directory, 'pens'), { recursive: true });
  expect(await writer.head('main')).toMatchObject({ branch: 'main' });
  const draft = await draftOn();
  await write(draft, { 'README.md': 'y' });
  expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
});

test('after many pushes that git made, what the mirror has by now is no more in the folder of this process', async () => {
  await writer.close();
  const folder = { url: `file://${repository.directory}`, allow: ['file'], directory } as const;
  writer = await openBranchWriter(folder, { packsBeforeTidying: 2 });
  for (let version = 0; version < 9; version++) {
    const draft = await draftOn();
    await write(draft, { 'apps/web.yaml': `image: web:${version}\n` });
    expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
  }
  const [pen = ''] = await readdir(join(directory, 'pens'));
  const packs = await readdir(join(directory, 'pens', pen, 'objects', 'pack'));
  expect(packs.filter((name) => name.endsWith('.pack')).length).toBeLessThan(5); // of nine
  const draft = await draftOn();
  expect((await draft.read('apps/web.yaml'))?.toString()).toBe('image: web:8\n');
  expect(await repository.git('rev-list', '--count', 'main')).toBe('10');
});

/** Requests for objects. */
function fetches(): number {
  return forge.requests.filter((one) => one.startsWith('POST') && one.includes('upload-pack')).length;
}

test('pushes upon each other are read from memory, and fetched when git is asked about them', async () => {
  const many = await draftOn();
  const first = many.base;
  for (let at = 0; at < 70; at++) await write(many, { 'README.md': String(at) }); // more than is looked through here
  expect(await writer.push('main', many)).toEqual({ kind: 'pushed' });
  const before = fetches();
  let tip = many.tip();
  for (const version of ['2', '3', '2', '3']) {
    const draft = await writer.draft(tip);
    tip = await write(draft, { 'apps/web.yaml': `image: web:${version}\n` });
    expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
    expect((await (await writer.draft(tip)).read('apps/web.yaml'))?.toString()).toBe(`image: web:${version}\n`);
  }
  expect(await writer.isAncestor(many.tip(), tip)).toBe(true);
  expect(fetches()).toBe(before);
  expect(await writer.isAncestor(first, tip)).toBe(true);
  const after = fetches();
  expect(after).toBeGreaterThan(before);
  expect(await writer.isAncestor(tip, first)).toBe(false);
  expect(await writer.isAncestor('0'.repeat(40), tip)).toBe(false);
  expect(await writer.isAncestor('1'.repeat(40), '1'.repeat(40))).toBe(false);
  expect(fetches()).toBe(after);
  expect((await (await writer.draft(tip)).read('apps/web.yaml'))?.toString()).toBe('image: web:3\n');
  expect(await repository.git('fsck', '--strict', '--no-dangling')).toBe('');
});

test('what somebody commits upon our push is fetched alone, and known to stand upon it', async () => {
  const tips: string[] = [];
  for (const version of ['2', '3']) {
    const draft = await (tips[0] === undefined ? draftOn() : writer.draft(tips[0]));
    tips.unshift(await write(draft, { 'apps/web.yaml': `image: web:${version}\n` }));
    expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
  }
  const [ours = ''] = tips;
  const theirs = await repository.commit({ files: { 'notes.md': 'theirs' }, message: 'theirs' });
  const late = await writer.draft(ours);
  await write(late, { 'apps/web.yaml': 'image: web:4\n' });
  const before = fetches();
  expect(await writer.push('main', late)).toEqual({ kind: 'moved', head: theirs });
  expect(fetches()).toBe(before + 2); // where the branch is, and the commit
  expect(await writer.isAncestor(ours, theirs)).toBe(true);
  const anew = await writer.draft(theirs);
  expect((await anew.read('notes.md'))?.toString()).toBe('theirs');
  expect((await anew.read('apps/web.yaml'))?.toString()).toBe('image: web:3\n');
  await write(anew, { 'apps/web.yaml': 'image: web:4\n' });
  expect(await writer.push('main', anew)).toEqual({ kind: 'pushed' });
  expect(fetches()).toBe(before + 2);
  expect(await repository.git('log', '--format=%s', 'main')).toBe('change\ntheirs\nchange\nchange\nchange');
  expect(await repository.git('fsck', '--strict', '--no-dangling')).toBe('');
});

test('a history that was rewritten beside our push is no descendant of it', async () => {
  const draft = await draftOn();
  const ours = await write(draft, { 'apps/web.yaml': 'image: web:2\n' });
  expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
  await repository.git('update-ref', 'refs/heads/main', `${ours}~1`);
  const theirs = await repository.commit({ files: { 'notes.md': 'theirs' }, message: 'theirs' });
  expect(await writer.head('main')).toEqual({ branch: 'main', oid: theirs });
  expect(await writer.isAncestor(ours, theirs)).toBe(false);
  expect((await (await writer.draft(theirs)).read('apps/web.yaml'))?.toString()).toBe('image: web:1\n');
});

test('what is too much to remember is fetched again', async () => {
  await writer.close();
  writer = await openBranchWriter(
    { url: repository.url, allow: ['http'], directory },
    { mostFreshBytes: 1, lookMs: 600_000 },
  );
  let tip = (await draftOn()).base;
  for (const version of ['2', '3', '2']) {
    const draft = await writer.draft(tip);
    tip = await write(draft, { 'apps/web.yaml': `image: web:${version}\n` });
    expect(await writer.push('main', draft)).toEqual({ kind: 'pushed' });
  }
  expect((await (await writer.draft(tip)).read('apps/web.yaml'))?.toString()).toBe('image: web:2\n');
  expect(await repository.git('rev-list', '--count', 'main')).toBe('4');
});

test('nothing of it is left when it is closed', async () => {
  await write(await draftOn(), { 'README.md': 'never sent' });
  await writer.close();
  expect(await readdir(join(directory, 'pens'))).toEqual([]);
});

describe('a branch of our own', () => {
  test('is made once, written over only from where we left it, and taken away', async () => {
    const one = await draftOn();
    const first = await write(one, { 'apps/web.yaml': 'image: web:2\n' });
    expect(await writer.push('own/a', one, undefined, null)).toEqual({ kind: 'pushed' });
    const other = await draftOn();
    const second = await write(other, { 'apps/web.yaml': 'image: web:3\n' }, 'another');
    expect(await writer.push('own/a', other, undefined, null)).toEqual({ kind: 'moved', head: first });
    expect(await writer.push('own/a', other, undefined, first)).toEqual({ kind: 'pushed' });
    expect(await writer.beginning('own/')).toEqual([{ branch: 'own/a', oid: second }]);
    expect(await (await draftOn('own/a')).message()).toBe('another\n');
    await writer.remove({ branch: 'own/a', oid: first });
    expect(await writer.beginning('own/')).toHaveLength(1);
    for (let times = 0; times < 2; times++) await writer.remove({ branch: 'own/a', oid: second });
    expect(await repository.git('for-each-ref', '--format=%(refname)')).toBe('refs/heads/main');
  });
});
