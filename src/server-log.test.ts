import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { noSmallDisk, smallDisk } from './lib/testing/small-disk.ts';
import { createServerLog } from './server-log.ts';

test.skipIf(noSmallDisk !== null)(
  'a server whose log finds no space goes on, and its lines are written whole when there is some',
  () => {
    const disk = smallDisk(1);
    const file = join(disk.directory, 'log');
    const fd = openSync(file, 'a');
    onTestFinished(() => {
      closeSync(fd);
      disk.remove();
    });
    const log = createServerLog(fd);
    disk.fill();
    for (let n = 1; n <= 10_000; n++)
      log.warn({ n }, `something that fills a page of the disk soon ${'.'.repeat(500)}`);
    disk.free();
    log.warn({ n: 0 }, 'there is space');
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const seen = lines.map((line) => (JSON.parse(line) as { n: number }).n);
    expect(seen.slice(0, 100)).toEqual(Array.from({ length: 100 }, (_, n) => n + 1));
    expect(seen.length).toBeLessThan(5_000);
  },
);
