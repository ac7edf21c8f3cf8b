import { appendFile, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { cases } from '../../lib/testing/cases.ts';
import { stopService } from '../../container/process/service.ts';
import { targetKey } from '../rollout.ts';
import { processUnderTest } from '../testing/process-machine.ts';
import { rolloutsOf } from '../testing/rollouts.ts';
import { capOutputs, readOutput } from './output.ts';
import { readAllRecords } from './record.ts';
import { removeSecrets } from './secret-files.ts';

const LIMIT_BYTES = 200;

type Step = { readonly print: readonly string[] } | 'cap' | 'read';

const line = fc.string({ maxLength: 60 }).map((text) => text.replace(/[\r\n\0]/g, '_'));
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ print: fc.array(line, { minLength: 1, maxLength: 8 }) }) },
  { weight: 2, arbitrary: fc.constant<Step>('cap') },
  { weight: 2, arbitrary: fc.constant<Step>('read') },
);

test('whatever is printed, capped and read, each line is read once and in order, or it is said that some are gone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array<Step>(step, { maxLength: 30 }), async (steps) => {
      await inFolder(async ({ directory, folder }) => {
        const printed: string[] = [];
        let unread: string[] = [];
        let place = '';
        for (const one of [...steps, 'read'] as const) {
          if (one === 'cap') await capOutputs(directory, LIMIT_BYTES);
          else if (one === 'read') {
            const { lines, hasGap, ...rest } = await read(folder, { after: place });
            place = rest.place ?? place;
            if (hasGap) expect(unread.slice(unread.length - lines.length)).toEqual(lines);
            else expect(lines).toEqual(unread);
            unread = [];
          } else {
            printed.push(...one.print);
            unread.push(...one.print);
            await appendFile(join(folder, 'output.log'), one.print.map((text) => `${text}\n`).join(''));
          }
        }
        const { lines } = await read(folder, { last: 3 });
        expect(lines).toEqual(lines.length === 0 ? [] : printed.slice(-lines.length));
      });
    }),
    cases(200),
  );
});

test('a place that somebody made up shows no part of a line', async () => {
  await inFolder(async ({ folder }) => {
    const lines = Array.from({ length: 20 }, (_, index) => `line ${index} with a secret in it`);
    await appendFile(join(folder, 'output.log'), lines.map((text) => `${text}\n`).join(''));
    for (let offset = 0; offset < 600; offset++) {
      const found = await read(folder, { after: `0:${offset}` });
      expect(lines).toEqual(expect.arrayContaining(found.lines));
    }
    for (const odd of ['x', '0:-1', '99:5', '0:99999999', '../..:1'])
      expect((await read(folder, { after: odd })).lines).toEqual(lines);
  });
});

test('a line that is longer than anybody reads is given up to a limit, and the next one whole', async () => {
  await inFolder(async ({ folder }) => {
    await appendFile(join(folder, 'output.log'), `one\n${'x'.repeat(300_000)}\ntwo\n`);
    const { lines } = await read(folder, { after: '' });
    expect(lines.map((text) => Math.min(text.length, 60_000))).toEqual([3, 60_000, 3]);
    expect((await read(folder, { last: 1 })).lines).toEqual(['two']);
  });
});

test('the files of an instance stay below twice the limit and a little, however much it printed', async () => {
  await inFolder(async ({ directory, folder }) => {
    for (let round = 0; round < 5; round++) {
      await appendFile(join(folder, 'output.log'), 'a line of twenty chars\n'.repeat(100));
      await capOutputs(directory, LIMIT_BYTES);
      const names = await readdir(folder);
      expect(names).toHaveLength(2);
      const blocks = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).blocks));
      expect(Math.max(...blocks) * 512).toBeLessThan(100_000);
      expect((await stat(join(folder, 'output.log'))).size).toBe(0);
    }
  });
});

test('a program that runs goes on printing when its output is capped, and both parts are read', async () => {
  const under = await processUnderTest();
  const { deploy, web, text, printed, end } = rolloutsOf(under);
  await deploy('one', [await web('v1')]);
  await text('/print?text=one');
  await expect.poll(() => printed('web')).toEqual(['version v1 starts', 'one']);
  await under.restart().capOutputs(15);
  await text('/print?text=two');
  await expect.poll(() => printed('web')).toEqual(['version v1 starts', 'one', 'two']);
  expect(await printed('web', 2)).toEqual(['one', 'two']);
  await end();
  await under.dispose();
});

test('where the secrets are lost nothing is shown, and what was printed under them goes at the next start', async () => {
  const under = await processUnderTest();
  const { deploy, worker, printed, follow, end } = rolloutsOf(under);
  await deploy('one', [await worker('v1', { secrets: { TOKEN: 'env:CANARY_OF_THE_TEST' } })]);
  await expect.poll(() => printed('worker')).toEqual(['version v1 starts']);
  const instances = join(under.directory, 'run', 'instances');
  const [record] = (await readAllRecords(instances)).known;
  if (record === undefined) throw new Error('It is recorded.');
  const folder = join(instances, targetKey(record.target));
  await appendFile(join(folder, record.id, 'output.log'), 'the old value\n');
  await removeSecrets(folder, record.id); // as when the machine restarts
  await stopService(record.mark, null, 0);

  const leave = new AbortController();
  for await (const { lines, note } of follow('worker', leave.signal)) {
    expect(lines).toEqual([]);
    expect(note).toContain('cannot be taken out');
    leave.abort();
  }
  expect(await under.restart().revive(() => undefined)).toBe(1);
  await expect.poll(() => printed('worker')).toEqual(['version v1 starts']);
  await end();
  await under.dispose();
});

async function inFolder(work: (place: { directory: string; folder: string }) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-output-'));
  const folder = join(directory, 'target', 'instance');
  await mkdir(folder, { recursive: true });
  try {
    await work({ directory, folder });
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function read(folder: string, from: { last: number } | { after: string }) {
  const lines: string[] = [];
  let hasGap = false;
  let place: string | undefined;
  for await (const block of readOutput(folder, { from, follow: false, signal: new AbortController().signal })) {
    lines.push(...block.lines);
    hasGap ||= block.hasGap === true;
    place = block.place;
  }
  return { lines, hasGap, place };
}
