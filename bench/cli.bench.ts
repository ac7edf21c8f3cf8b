import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

import { alternate, type Figure, median } from './figure.ts';

const execute = promisify(execFile);
const PROGRAM = resolve('bin/towpath.js');
const ROUNDS = 15;

/** What a command takes before it does anything, against Node itself: a command that loads the server's parts takes five times as long. */
export async function run(): Promise<Figure[]> {
  const times = await alternate(ROUNDS, [
    { name: 'towpath', run: () => execute(process.execPath, [PROGRAM, 'status', '--help']) },
    { name: 'node', run: () => execute(process.execPath, ['--eval', '0']) },
  ]);
  return [
    { name: 'cli.start.p50', value: median(times.towpath), unit: 'ms' },
    {
      name: 'cli.start.vs-node',
      value: median(times.towpath) / median(times.node),
      unit: 'x',
      goal: { op: '<=', value: 3 },
    },
  ];
}
