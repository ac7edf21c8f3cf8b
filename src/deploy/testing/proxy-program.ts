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
      contents: `import { parseArgs } from 'node:util';
        import { serveProxy } from './src/deploy/proxy/serve.ts';
        const { state, socket } = parseArgs({ options: { state: { type: 'string' }, socket: { type: 'string' } } }).values;
        const proxy = await serveProxy({ stateFile: state, socket, log: (line) => process.stdout.write(line + '\\n') });
        for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void proxy.stop());
        await proxy.ended;`,
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
