import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { makeTestImage } from '../../../tools/test-machine/image.ts';
import { sha256Hex } from '../../lib/digest.ts';
import { noLog } from '../../lib/log.ts';
import { removeTree } from '../rootfs/folders.ts';
import { ensureRootfs } from '../rootfs/unpack.ts';
import type { ImageOnMachine, RunResult, RunSpec } from '../runtime.ts';
import { testImages } from '../testing/images.ts';
import { bwrapLauncher } from './bwrap.ts';
import { chrootLauncher } from './chroot.ts';
import { hostLauncher } from './host.ts';
import type { Launcher } from './launcher.ts';
import { markedProcesses } from './marked.ts';
import { runcLauncher } from './runc.ts';
import { taskRunner } from './task-runner.ts';

const run = promisify(execFile);

let place: string;
let image: ImageOnMachine;

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), 'towpath-tasks-'));
  await chmod(place, 0o755); // who isolates nothing runs programs of other users in it
  const images = testImages();
  const made = await makeTestImage({
    base: 'node',
    files: { '/app/lib.js': 'module.exports = 42;', '/app/main.js': 'console.log("main")', '/etc/motd': 'hello' },
    argv: ['node', 'main.js'],
    env: { FROM_IMAGE: 'yes' },
    workdir: '/app',
    user: 'node',
  });
  images.take(made);
  image = await ensureRootfs(images, 'shop/web', made.digest, {
    directory: join(place, 'rootfs'),
    host: 'registry.test',
  });
});
afterAll(() => removeTree(place));

const launchers: Launcher[] = [bwrapLauncher(), runcLauncher(), chrootLauncher(), hostLauncher()];

describe.each(launchers.map((launcher) => [launcher.name, launcher] as const))('a task by %s', (name, launcher) => {
  test('works on this machine', async () => {
    expect(await launcher.available()).toBe(true);
  });

  test('runs what the image says, with its settings, in its folder, and its output is logged line by line', async () => {
    const { result, lines } = await task(launcher, {});
    expect(result).toEqual({ kind: 'exited', code: 0 });
    expect(lines).toEqual(['main']);
    const told = await script(launcher, 'console.log(process.cwd(), process.env.FROM_IMAGE, process.env.MINE)', {
      env: { MINE: 'also' },
    });
    expect(told.lines.join()).toMatch(/\/app yes also$/);
  });

  test("the exit code is the program's own", async () => {
    expect((await script(launcher, 'process.exit(7)')).result).toEqual({ kind: 'exited', code: 7 });
  });

  test('mounts lie over the image, which stays as it was, and what is written to them stays', async () => {
    const tests = join(place, `tests-${name}`);
    const reports = join(place, `reports-${name}`);
    for (const folder of [tests, reports]) await mkdir(folder);
    await chmod(reports, 0o777);
    const body = `require('fs').writeFileSync('reports/out.txt', String(require('../app/lib.js')) + require('./test/more.js'))`;
    await writeFile(join(tests, 'more.js'), 'module.exports = "+tests";');
    const before = await imprint(image.rootfs ?? '');
    const mounts = [
      { from: tests, to: '/app/test', writable: false },
      { from: reports, to: '/app/reports', writable: true },
    ];
    const { result, lines } = await script(launcher, body, { mounts });
    expect({ result, lines }).toEqual({ result: { kind: 'exited', code: 0 }, lines: [] });
    expect(await readFile(join(reports, 'out.txt'), 'utf8')).toBe('42+tests');
    expect(await imprint(image.rootfs ?? '')).toBe(before);
  });

  test('a mount hides what the image has there, and what is written under it is not written into the image', async () => {
    const reports = join(place, `app-${name}`);
    await mkdir(reports);
    await chmod(reports, 0o777);
    const before = await imprint(image.rootfs ?? '');
    const body = `const fs = require('fs'); console.log(fs.existsSync('/app/lib.js')); fs.writeFileSync('/app/lib.js', 'spoilt')`;
    const spec = { workdir: '/', mounts: [{ from: reports, to: '/app', writable: true }] };
    const { result, lines } = await script(launcher, launcher.isolates ? body : 'console.log(false)', spec);
    expect({ result, lines }).toEqual({ result: { kind: 'exited', code: 0 }, lines: ['false'] });
    expect(await imprint(image.rootfs ?? '')).toBe(before);
  });

  test('it cannot write into the image', async () => {
    const before = await imprint(image.rootfs ?? '');
    await script(launcher, `try { require('fs').writeFileSync('lib.js', 'spoilt') } catch {}`, { user: '1000' });
    expect(await imprint(image.rootfs ?? '')).toBe(before);
  });

  test.runIf(process.geteuid?.() === 0)('it runs as the user of the image, or as the given one', async () => {
    expect((await script(launcher, 'console.log(process.getuid(), process.getgid())')).lines).toEqual(['1000 1000']);
    const other = await script(launcher, 'console.log(process.getuid(), process.getgid())', { user: '4321:5432' });
    expect(other.lines).toEqual(['4321 5432']);
  });

  test('it sees the files of the machine only where nothing isolates', async () => {
    const path = join(place, 'machine-file');
    await writeFile(path, 'x');
    const { lines } = await script(launcher, `console.log(require('fs').existsSync(${JSON.stringify(path)}))`);
    expect(lines).toEqual([String(!launcher.isolates)]);
  });

  test('one that takes too long is ended with all its children', async () => {
    const body = `require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
      setInterval(() => {}, 1000)`;
    expect((await script(launcher, body, {}, { timeoutMs: 1500 })).result).toEqual({ kind: 'timed-out' });
  });

  test('one that is cancelled ends, and says why', async () => {
    const stop = new AbortController();
    const reason = new Error('superseded');
    const running = script(
      launcher,
      'console.log("up"); setInterval(() => {}, 1000)',
      {},
      {
        signal: stop.signal,
        log: () => stop.abort(reason),
      },
    );
    await expect(running).rejects.toBe(reason);
  });

  test('what it may use of memory is limited', async () => {
    const body = `const kept = []; for (let i = 0; i < 100; i++) kept.push(Buffer.alloc(8 << 20, 1)); console.log('had it')`;
    const { result, lines } = await script(launcher, body, { limits: { memoryMb: 200 } });
    expect(result).toEqual({ kind: 'out-of-memory' });
    expect(lines).not.toContain('had it');
  });

  test('nothing of a run is left', async () => {
    expect(await readdir(join(place, 'scratch'))).toEqual([]);
  });
});

test.runIf(process.geteuid?.() === 0)(
  'what is mounted elsewhere on the machine may go while bwrap begins, for it binds none of it',
  async () => {
    const elsewhere = join(place, 'mounted-elsewhere');
    await mkdir(elsewhere);
    await run('mount', ['-t', 'tmpfs', 'none', elsewhere]);
    try {
      const ours = await readlink('/proc/self/ns/mnt');
      let seen = '';
      const log = (): void => {
        const [mark = ''] = readdirSync(join(place, 'scratch'));
        for (const { pid } of markedProcesses().get(mark) ?? [])
          if (readlinkSync(`/proc/${pid}/ns/mnt`) !== ours) seen += readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
      };
      await script(bwrapLauncher(), 'console.log("up"); setTimeout(() => {}, 1000)', {}, { log });
      expect(seen).toContain(' /usr ro');
      expect(seen).not.toContain('mounted-elsewhere');
    } finally {
      await run('umount', [elsewhere]);
    }
  },
);

async function task(
  launcher: Launcher,
  spec: Partial<RunSpec>,
  options: { timeoutMs?: number; signal?: AbortSignal; log?: (line: string) => void } = {},
): Promise<{ result: RunResult; lines: string[] }> {
  const lines: string[] = [];
  const result = await taskRunner(launcher, join(place, 'scratch')).run(
    { name: 'a-task', image, env: {}, ...spec },
    {
      log: (line) => {
        lines.push(line);
        (options.log ?? noLog)(line);
      },
      signal: options.signal ?? new AbortController().signal,
      timeoutMs: options.timeoutMs ?? 50_000,
    },
  );
  return { result, lines };
}

function script(
  launcher: Launcher,
  body: string,
  spec: Partial<RunSpec> = {},
  options: Parameters<typeof task>[2] = {},
) {
  return task(launcher, { ...spec, argv: ['node', '-e', body] }, options);
}

/** Names and contents of a folder, but for the large ones. */
async function imprint(folder: string): Promise<string> {
  const names = (await readdir(folder, { recursive: true })).sort();
  const small = ['app/lib.js', 'app/main.js', 'etc/motd'];
  const contents = await Promise.all(small.map((name) => readFile(join(folder, name), 'utf8')));
  return sha256Hex(JSON.stringify([names, contents]));
}
