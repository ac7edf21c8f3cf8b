import { parseArgs } from 'node:util';

import { isReached, lineOf, tableOf } from './figure.ts';
import type { Figure } from './figure.ts';

/** Every bench by its name; each loads only when it runs. */
const BENCHES: Readonly<Record<string, () => Promise<{ run(): Promise<Figure[]> }>>> = {
  build: async () => import('./build.bench.ts'),
  check: async () => import('./check.bench.ts'),
  cli: async () => import('./cli.bench.ts'),
  gitops: async () => import('./gitops.bench.ts'),
  monorepo: async () => import('./monorepo.bench.ts'),
  path: async () => import('./path.bench.ts'),
  policy: async () => import('./policy.bench.ts'),
  poll: async () => import('./poll.bench.ts'),
  registry: async () => import('./registry.bench.ts'),
  report: async () => import('./report.bench.ts'),
  retag: async () => import('./retag.bench.ts'),
  rolling: async () => import('./rolling.bench.ts'),
  server: async () => import('./server.bench.ts'),
  sign: async () => import('./sign.bench.ts'),
  sweep: async () => import('./sweep.bench.ts'),
};

const { positionals } = parseArgs({ allowPositionals: true });
const unknown = positionals.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`There is no bench "${unknown.join('", "')}". There are: ${Object.keys(BENCHES).join(', ')}.`);
  process.exit(64);
}

const figures: Figure[] = [];
let failed = false;
for (const [name, load] of Object.entries(BENCHES)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  console.error(`bench ${name}`);
  try {
    const measured = await (await load()).run();
    for (const figure of measured) console.log(lineOf(figure));
    figures.push(...measured);
  } catch (error) {
    failed = true;
    console.error(`bench ${name} failed:`, error);
  }
}
console.log(`\n${tableOf(figures)}`);
// A missed goal is told, not failed: whether it is a fault of the code or of a busy machine is for people to judge.
for (const figure of figures.filter((one) => !isReached(one))) console.error(`missed: ${lineOf(figure)}`);
process.exitCode = failed ? 1 : 0;
