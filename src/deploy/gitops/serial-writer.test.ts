import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { type BranchWriter, openBranchWriter } from '../../git/branch-writer.ts';
import type { Remote } from '../../git/remote.ts';
import { type Forge, type ForgeRepository, startForge } from '../../git/testing/forge.ts';
import { startSshServer } from '../../git/testing/ssh-server.ts';
import { sha256 } from '../../lib/digest.ts';
import type { Store } from '../../store/database.ts';
import { testStore } from '../../store/testing.ts';
import { type BatchOutcome, writeBatch } from './batch.ts';
import { createSerialWriter, type SerialWriter } from './serial-writer.ts';
import {
  askWrite,
  leaveLease,
  manifestBranch,
  takeLease,
  takeWaiting,
  type TakenWrite,
  type WriteAsk,
  writeState,
} from './write-store.ts';

let forge: Forge;
let repository: ForgeRepository;
let directory: string;
let store: Store;
let branches: BranchWriter;
let serial: SerialWriter;
const opened: { close(): Promise<void> }[] = [];

const SERVICES = Array.from({ length: 12 }, (_, index) => `s${index}`);
const VALUES = SERVICES.map((name) => `${name}:\n  image: shop/${name}:v1 # of ${name}\n`).join('');

beforeEach(async () => {
  forge = await startForge();
  directory = await mkdtemp(join(tmpdir(), 'towpath-serial-'));
  repository = await forge.createRepository('manifests');
  await repository.commit({ files: { 'prod/values.yaml': VALUES, 'prod/link.yaml': { link: 'values.yaml' } } });
  store = await testStore();
  ({ branches, serial } = await process('one'));
});

afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  await forge.close();
  await rm(directory, { recursive: true, force: true });
});

/** What one server has. */
async function process(
  holder: string,
  remote: Remote = { url: repository.url, allow: ['http'] },
): Promise<{ branches: BranchWriter; serial: SerialWriter }> {
  const made = await openBranchWriter({ ...remote, directory: join(directory, holder) });
  const writer = createSerialWriter({ store, holder, leaseMs: 60_000 });
  opened.push(writer, made);
  return { branches: made, serial: writer };
}

function askOf(
  service: string,
  version: string,
  more: { file?: string; message?: string; token?: bigint; branch?: string; own?: string } = {},
): WriteAsk {
  const { file = 'prod/values.yaml', message = `${service} ${version}`, token = 1n, branch = 'main' } = more;
  return {
    key: `${service} ${version}`,
    branch: manifestBranch(repository.url, branch),
    target: service,
    token,
    request: {
      edits: [
        {
          place: { file, image: `${service}.image` },
          image: { digest: sha256(`${service} ${version}`), tag: version },
        },
      ],
      style: 'tag@digest',
      author: { name: 'Towpath', email: 'towpath@example.com' },
      message: `${message}\n\nTowpath-Promotion: ${service}-${version}`,
      own: more.own ?? null,
    },
  };
}

function write(
  ask: WriteAsk,
  by = serial,
  through: BranchWriter = branches,
  signal = new AbortController().signal,
): Promise<string> {
  return by.write(ask, through, signal);
}

async function subjects(): Promise<string[]> {
  return (await repository.git('log', '--format=%s', 'main')).split('\n');
}

async function values(): Promise<string> {
  return repository.git('cat-file', 'blob', 'main:prod/values.yaml');
}

function written(services: readonly string[], version: string): string {
  return VALUES.trim()
    .split('\n')
    .map((line) => {
      const name = services.find((service) => line.includes(`shop/${service}:v1 `));
      return name === undefined ? line : line.replace(':v1 ', `:${version}@${sha256(`${name} ${version}`)} `);
    })
    .join('\n');
}

function pushes(): number {
  return forge.requests.filter((request) => request.startsWith('POST') && request.includes('receive-pack')).length;
}

describe('many promotions at once', () => {
  test('go into one file in one push, a commit each, and none is lost', async () => {
    const commits = await Promise.all(SERVICES.map((service) => write(askOf(service, 'v2'))));
    expect(new Set(commits).size).toBe(SERVICES.length);
    expect(await values()).toBe(written(SERVICES, 'v2'));
    expect((await subjects()).toSorted()).toEqual(['change', ...SERVICES.map((service) => `${service} v2`)].toSorted());
    expect(pushes()).toBeLessThanOrEqual(3); // who asks later than others may be too late for the first ones
    expect(await repository.git('fsck', '--strict', '--no-dangling')).toBe('');
  });

  test('that ask for the same are told the same commit', async () => {
    const ask = askOf('s1', 'v2');
    const [one, other, third] = await Promise.all([write(ask), write(ask), write(askOf('s2', 'v2'))]);
    expect(one).toBe(other);
    expect(third).not.toBe(one);
    expect((await subjects()).toSorted()).toEqual(['change', 's1 v2', 's2 v2']);
  });

  test('wait for one who said that it comes', async () => {
    const patient = createSerialWriter({ store, holder: 'patient', leaseMs: 60_000, windowMs: 4_000 });
    opened.push(patient);
    const came = patient.expect(manifestBranch(repository.url, 'main'));
    const all: Promise<string>[] = [];
    for (const service of ['s1', 's2', 's3']) {
      const ask = askOf(service, 'v2');
      all.push(write(ask, patient));
      await vi.waitFor(() => writeState(store.db, ask.key), { timeout: 30_000 }); // it stands in line
    }
    came();
    await Promise.all(all);
    expect(pushes()).toBe(1);
  });

  test('without a break leave the branch alone for a while, now and then', async () => {
    const taken: number[] = [];
    const busy = createSerialWriter({
      store,
      holder: 'busy',
      breath: { afterMs: 500, ms: 700 },
      passed: (point) => point === 'taken' && taken.push(performance.now()),
    });
    opened.push(busy);
    const breaths = (): number => taken.filter((at, index) => at - (taken[index - 1] ?? at) >= 700).length;
    const isOver = (): boolean => breaths() >= 2 || taken.length > 200;
    const writers = ['a', 'b'].map(async (name) => {
      for (let version = 1; !isOver(); version++)
        await write(askOf(SERVICES[name === 'a' ? 0 : 1] ?? '', `v${version}.${name}`), busy);
    });
    await Promise.all(writers);
    expect(breaths()).toBeGreaterThanOrEqual(2);
  });

  test.each(['http', 'ssh'])(
    'by several servers over %s, with somebody else who commits meanwhile: all are there',
    async (way) => {
      const ssh = way === 'ssh' ? await startSshServer() : null;
      if (ssh !== null) opened.push(ssh);
      const remote = ssh?.remoteOf(repository.directory);
      const one = await process('a', remote);
      const other = await process('b', remote);
      const outside = repository.commit({ files: { 'notes.md': 'theirs' }, message: 'theirs' });
      await Promise.all([
        outside,
        ...SERVICES.map((service, index) =>
          index % 2 === 0
            ? write(askOf(service, 'v2'), one.serial, one.branches)
            : write(askOf(service, 'v2'), other.serial, other.branches),
        ),
      ]);
      expect(await values()).toBe(written(SERVICES, 'v2'));
      expect((await subjects()).toSorted()).toEqual(
        ['change', 'theirs', ...SERVICES.map((service) => `${service} v2`)].toSorted(),
      );
    },
  );

  test('one that cannot be written keeps no other from it', async () => {
    const bad = [
      [askOf('s1', 'v2', { file: 'prod/none.yaml' }), 'gitops.no-file'],
      [askOf('s2', 'v2', { file: 'prod/link.yaml' }), 'gitops.link'],
      [askOf('none', 'v2'), 'gitops.no-path'],
    ] as const;
    const refusals = bad.map(([ask, code]) => expect(write(ask)).rejects.toMatchObject({ code }));
    await Promise.all([write(askOf('s0', 'v2')), ...refusals]);
    expect(await subjects()).toEqual(['s0 v2', 'change']);
  });

  test('one that the server refuses keeps no other from it', async () => {
    const hook = join(repository.directory, 'hooks', 'pre-receive');
    await writeFile(
      hook,
      '#!/bin/sh\nread old new ref\ngit log --format=%s $old..$new | grep -q s1 && echo no s1 here >&2 && exit 1\nexit 0\n',
    );
    await chmod(hook, 0o755);
    const refused = expect(write(askOf('s1', 'v2'))).rejects.toMatchObject({
      code: 'gitops.refused',
      what: expect.stringContaining('no s1 here') as string,
    });
    await Promise.all([write(askOf('s0', 'v2')), refused, write(askOf('s2', 'v2'))]);
    expect(await values()).toBe(written(['s0', 's2'], 'v2'));
  });
});

describe('when somebody else is faster', () => {
  test('the edit is derived anew on what they left', async () => {
    let raced = false;
    const racing: BranchWriter = {
      ...branches,
      push: async (...args) => {
        if (!raced) {
          raced = true;
          await repository.commit({ files: { 'prod/values.yaml': `# theirs\n${VALUES}` }, message: 'theirs' });
        }
        return branches.push(...args);
      },
    };
    await write(askOf('s0', 'v2'), serial, racing);
    expect(await values()).toBe(`# theirs\n${written(['s0'], 'v2')}`);
    expect(await subjects()).toEqual(['s0 v2', 'theirs', 'change']);
  });

  describe('than the next push upon our own, before which nobody asked where the branch is', () => {
    const taken = (ask: WriteAsk): TakenWrite => ({ ...ask, firstAtMs: 1_790_000_000_000, fenced: false });
    const batch = (writes: readonly WriteAsk[], before?: BatchOutcome, branch = 'main'): Promise<BatchOutcome> =>
      writeBatch(
        {
          writer: branches,
          branch: manifestBranch(repository.url, branch),
          lastHead: before?.head ?? null,
          left: before?.left,
          signal: new AbortController().signal,
        },
        writes.map(taken),
      );

    test('nothing of theirs is lost', async () => {
      const before = await batch([askOf('s0', 'v2')]);
      await repository.commit({ files: { 'notes.md': 'theirs' }, message: 'theirs' });
      const { results } = await batch([askOf('s1', 'v2'), askOf('s2', 'v2')], before);
      expect([...results.values()].map(({ kind }) => kind)).toEqual(['written', 'written']);
      expect(await subjects()).toEqual(['s2 v2', 's1 v2', 'theirs', 's0 v2', 'change']);
    });

    test('what they made possible is written, and what stands there by them is no commit of ours', async () => {
      const before = await batch([askOf('s0', 'v2')]);
      const theirs = await repository.commit({
        files: { 'prod/more.yaml': VALUES, 'prod/values.yaml': written(['s0', 's1'], 'v2') },
        message: 'theirs',
      });
      const [more, there] = [askOf('s2', 'v2', { file: 'prod/more.yaml' }), askOf('s1', 'v2')];
      const { results } = await batch([there, more], before);
      expect(results.get(there.key)).toEqual({ kind: 'written', commit: theirs });
      expect(results.get(more.key)).toMatchObject({ kind: 'written' });
      expect(await subjects()).toEqual(['s2 v2', 'theirs', 's0 v2', 'change']);
    });

    test('what another server of ours wrote meanwhile is no rewritten history', async () => {
      const before = await batch([askOf('s0', 'v2')]);
      const other = await batch([askOf('s1', 'v2')]);
      const ask = askOf('s2', 'v2');
      const { results } = await batch([ask], { ...before, head: other.head });
      expect(results.get(ask.key)).toMatchObject({ kind: 'written' });
      expect(await subjects()).toEqual(['s2 v2', 's1 v2', 's0 v2', 'change']);
    });

    test('a default branch that they renamed is written under its new name', async () => {
      const before = await batch([askOf('s0', 'v2')], undefined, '');
      await repository.git('branch', '-m', 'main', 'trunk');
      const ask = askOf('s1', 'v2');
      const { results } = await batch([ask], before, '');
      expect(results.get(ask.key)).toMatchObject({
        kind: 'written',
        commit: await repository.git('rev-parse', 'trunk'),
      });
    });

    test('a branch that they deleted or rewrote is told as ever', async () => {
      const before = await batch([askOf('s0', 'v2')]);
      await repository.commit({ files: { 'prod/values.yaml': VALUES }, message: 'anew', force: true });
      const ask = askOf('s1', 'v2');
      const rewritten = await batch([ask], before);
      expect(rewritten.results.get(ask.key)).toMatchObject({ problem: { code: 'gitops.rewritten' } });
      const again = await batch([ask], { ...rewritten, head: null });
      await repository.git('update-ref', '-d', 'refs/heads/main');
      const other = askOf('s2', 'v2');
      const gone = await batch([other], again);
      expect(gone.results.get(other.key)).toMatchObject({ problem: { code: 'gitops.no-branch' } });
    });
  });

  test.each([
    ['what a server had taken that was killed is written for who goes on with it, under the token of that one', 'dead'],
    ['and so is what this one had taken, where the database was away when it gave up', 'one'],
  ])('%s', async (_title, holder) => {
    const ask = askOf('s0', 'v2', { token: 6n });
    await askWrite(store.db, ask, 15_000);
    await takeLease(store.db, ask.branch.id, holder, 0);
    expect((await takeWaiting(store.db, ask.branch.id, holder, 10)).writes).toHaveLength(1);
    await store.db
      .insertInto('manifest_target')
      .values({ target: 's0', token: 7, operation: 'x', place: '{}' })
      .execute();
    await write({ ...ask, token: 7n });
    expect(await subjects()).toEqual(['s0 v2', 'change']);
  });

  test('a newer hand on the same target wins, whoever comes first into line', async () => {
    await store.db
      .insertInto('manifest_target')
      .values({ target: 's0', token: 7, operation: 'x', place: '{}' })
      .execute();
    await expect(write(askOf('s0', 'v2', { token: 6n }))).rejects.toMatchObject({ code: 'deploy.fenced' });
    await write(askOf('s0', 'v3', { token: 7n }));
    expect(await subjects()).toEqual(['s0 v3', 'change']);
  });
});

describe('nothing half-written', () => {
  test('what is there already is no commit', async () => {
    const first = await write(askOf('s0', 'v2'));
    expect(await write(askOf('s0', 'v2'))).toBe(first);
    expect(await subjects()).toEqual(['s0 v2', 'change']);
  });

  test('a server killed after the push, before it was written down, leaves one commit', async () => {
    const dying: BranchWriter = {
      ...branches,
      push: async (...args) => {
        await branches.push(...args);
        throw new Error('killed');
      },
    };
    await expect(write(askOf('s0', 'v2'), serial, dying)).rejects.toThrow('killed');
    const other = await process('after');
    const commit = await write(askOf('s0', 'v2'), other.serial, other.branches);
    expect(await subjects()).toEqual(['s0 v2', 'change']);
    expect(await repository.git('rev-parse', 'main')).toBe(commit);
  });

  test('a server killed with its lease leaves what it took to the next one', async () => {
    let dead = (): void => undefined;
    const hanging: BranchWriter = {
      ...branches,
      push: () => new Promise((_, reject) => (dead = () => reject(new Error('dead')))),
    };
    const killed = createSerialWriter({ store, holder: 'killed', leaseMs: 60_000 });
    const first = expect(killed.write(askOf('s0', 'v2'), hanging, new AbortController().signal)).rejects.toThrow(
      'dead',
    );
    await expect
      .poll(async () => (await store.db.selectFrom('manifest_write').select('state').execute())[0]?.state)
      .toBe('taken');
    // its heart stops: the lease is let go by the clock of the database alone
    await store.db
      .updateTable('manifest_branch')
      .set({ holder: 'nobody', until: new Date(0) })
      .execute();
    await write(askOf('s0', 'v2'));
    dead();
    await first;
    expect(await subjects()).toEqual(['s0 v2', 'change']);
  });

  test('called off while it stands in line, it is never written', async () => {
    const ask = askOf('s0', 'v2');
    await askWrite(store.db, ask, 15_000);
    expect(await takeLease(store.db, ask.branch.id, 'somebody', 60_000)).toBe(true);
    const leave = new AbortController();
    const gone = expect(write(ask, serial, branches, leave.signal)).rejects.toThrow('off');
    leave.abort(new Error('off'));
    await gone;
    await leaveLease(store.db, ask.branch.id, 'somebody');
    await write(askOf('s1', 'v2'));
    expect(await subjects()).toEqual(['s1 v2', 'change']);
    expect(await writeState(store.db, ask.key)).toEqual({ kind: 'waiting' });
  });

  test('called off while it is pushed, it tells that it was written', async () => {
    const leave = new AbortController();
    const leaving: BranchWriter = {
      ...branches,
      push: async (...args) => {
        leave.abort(new Error('off'));
        return branches.push(...args);
      },
    };
    const commit = await write(askOf('s0', 'v2'), serial, leaving, leave.signal);
    expect(await repository.git('rev-parse', 'main')).toBe(commit);
    expect(await subjects()).toEqual(['s0 v2', 'change']);
  });

  test('a branch that is not there, and one that was deleted, are made by nobody', async () => {
    await expect(write(askOf('s0', 'v2', { branch: 'nowhere' }))).rejects.toMatchObject({ code: 'gitops.no-branch' });
    await write(askOf('s0', 'v2'));
    await repository.git('update-ref', '-d', 'refs/heads/main');
    await expect(write(askOf('s1', 'v2'))).rejects.toMatchObject({ code: 'gitops.no-branch' });
    expect(await repository.git('for-each-ref')).toBe('');
  });

  test('a history that was rewritten is told once, and the next promotion goes on from what is there', async () => {
    await write(askOf('s0', 'v2'));
    await repository.commit({ files: { 'prod/values.yaml': VALUES }, message: 'anew', force: true });
    await expect(write(askOf('s1', 'v2'))).rejects.toMatchObject({ code: 'gitops.rewritten' });
    expect(await subjects()).toEqual(['anew']);
    await write(askOf('s2', 'v2'));
    expect(await subjects()).toEqual(['s2 v2', 'anew']);
  });

  test('while the server is away nothing is known, and afterwards it is written once', async () => {
    forge.answer = () => ({ status: 503 });
    await expect(write(askOf('s0', 'v2'))).rejects.toMatchObject({ code: expect.stringMatching(/^git\./) as string });
    forge.answer = undefined;
    await write(askOf('s0', 'v2'));
    expect(await subjects()).toEqual(['s0 v2', 'change']);
  });
});
