import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const root = fileURLToPath(new URL('../../..', import.meta.url));
let built: Promise<string> | undefined;

/** The command that runs the proxy from these sources as a process of its own. */
export async function proxyCommand(): Promise<readonly [string, ...string[]]> {
  return [process.execPath, await (built ??= bundle())];
}

async function bundle(): Promise<string> {
  const outfile = join(root, 'node_modules/.cache/towpath-test-programs', `proxy-${process.pid}.mjs`);
  await mkdir(dirname(outfile), { recursive: true });
  await build({
    stdin: {
      contents: `import { runProxyProgram } from './src/deploy/proxy/program.ts';
        await runProxyProgram(process.argv.slice(2), (line) => process.stdout.write(line + '\\n'));`,
      resolveDir: root,
      loader: 'ts',
    },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    logLevel: 'warning',
  });
  return outfile;
}
