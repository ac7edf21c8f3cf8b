// Writes what TypeScript has to know of the doors of the package, `towpath` and `towpath/testing`, to `dist/types/`. The compiler
// declares every file that they reach; what their declarations do not name is removed, so that nothing more is promised.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const outDir = join(root, 'dist/types');
const doors = ['src/index.ts', 'src/testing.ts'];

rmSync(outDir, { recursive: true, force: true });
const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
const options = Object.entries({
  ...compilerOptions,
  noEmit: false,
  declaration: true,
  emitDeclarationOnly: true,
  rootDir: root,
  outDir,
});
const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/typescript/bin/tsc'),
    '--ignoreConfig',
    ...options.flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...doors,
  ],
  { cwd: root, stdio: ['ignore', 2, 2] },
);
if (status !== 0) process.exit(status ?? 1);

const kept = new Set();
const open = doors.map((door) => join(outDir, door.replace(/\.ts$/, '.d.ts')));
for (const file of open) {
  if (kept.has(file)) continue;
  kept.add(file);
  for (const [, named] of readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*['"](\.[^'"]+)['"]/g))
    open.push(join(dirname(file), named.replace(/\.([jt])s$/, '.d.$1s').replace('.d.js', '.d.ts')));
}
for (const name of await readdir(outDir, { recursive: true })) {
  const file = join(outDir, name);
  if (name.endsWith('.ts') && !kept.has(file)) rmSync(file);
}
