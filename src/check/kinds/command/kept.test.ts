import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { expect, onTestFinished, test } from 'vitest';

import { sha256 } from '../../../lib/digest.ts';
import { KEPT, type KeptFiles } from '../../kept-files.ts';
import { keepFiles } from './kept.ts';

test('files are kept as they were written, by their paths', async () => {
  const { folder, keep } = await run();
  await mkdir(join(folder, 'report/data'), { recursive: true });
  await writeFile(join(folder, 'report/index.html'), '<h1>no</h1>');
  await writeFile(join(folder, 'report/data/a.png'), Buffer.from([0x89, 0, 0xff]));
  const { kept, stored, lines } = await keep(['report/']);
  expect(kept?.files).toEqual([
    { path: 'report/data/a.png', digest: sha256(Buffer.from([0x89, 0, 0xff])), size: 3 },
    { path: 'report/index.html', digest: sha256('<h1>no</h1>'), size: 11 },
  ]);
  expect(stored.map((bytes) => bytes.length)).toEqual([3, 11]);
  expect(lines).toEqual(['kept 2 files for people to see']);
});

test('links, pipes and names that are none bring nothing out, and nothing waits', async () => {
  const { folder, keep } = await run();
  const outside = join(folder, '..', 'outside');
  await mkdir(join(folder, 'report'));
  await mkdir(outside);
  await writeFile(join(outside, 'secret'), 'canary');
  await symlink('/etc/passwd', join(folder, 'report/a.txt'));
  await symlink(outside, join(folder, 'report/folder'));
  await symlink('..', join(folder, 'report/round'));
  await promisify(execFile)('mkfifo', [join(folder, 'report/pipe')]);
  await writeFile(Buffer.concat([Buffer.from(`${folder}/report/`), Buffer.from([0xff, 0xfe])]), 'x');
  await writeFile(join(folder, 'report/good'), 'x');
  const { kept } = await keep(['report/']);
  expect(kept).toEqual({ files: [{ path: 'report/good', digest: sha256('x'), size: 1 }], leftOut: 5 });
});

test('a folder that was replaced by a link is not followed', async () => {
  const { folder, keep } = await run();
  await mkdir(join(folder, 'a/report'), { recursive: true });
  await mkdir(join(folder, 'elsewhere/report'), { recursive: true });
  await writeFile(join(folder, 'elsewhere/report/secret'), 'canary');
  await rename(join(folder, 'a'), join(folder, 'b'));
  await symlink('elsewhere', join(folder, 'a'));
  expect((await keep(['a/report/'])).kept).toEqual({ files: [], leftOut: 1 });
});

test('a file that is far too large is not read', async () => {
  const { folder, keep } = await run();
  await mkdir(join(folder, 'report'));
  await writeFile(join(folder, 'report/sparse'), '');
  await truncate(join(folder, 'report/sparse'), KEPT.fileBytes * 1000);
  const { kept, stored, lines } = await keep(['report/']);
  expect(kept).toEqual({ files: [], leftOut: 1 });
  expect(stored).toEqual([]);
  expect(lines).toEqual(['not kept: 1, being too large, too many, or no plain files']);
});

async function run() {
  const home = await mkdtemp(join(tmpdir(), 'kept-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const folder = join(home, 'run');
  await mkdir(folder);
  const keep = async (
    patterns: string[],
  ): Promise<{ kept: KeptFiles | undefined; stored: Buffer[]; lines: string[] }> => {
    const stored: Buffer[] = [];
    const lines: string[] = [];
    const store = async (bytes: Buffer) => {
      stored.push(bytes);
      return sha256(bytes);
    };
    return { kept: await keepFiles(folder, { patterns, store }, (line) => lines.push(line)), stored, lines };
  };
  return { folder, keep };
}
