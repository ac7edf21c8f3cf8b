import { randomInt } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { pino } from 'pino';

import { readLocalToken } from './access/local-token-store.ts';
import type { DemoOptions } from './cli/house.ts';
import { processIo } from './cli/io.ts';
import { findProgram } from './container/process/programs.ts';
import { createShop, layAdvisories } from './demo-shop.ts';
import { createStage, DemoError, type Stage } from './demo-stage.ts';
import { playStory } from './demo-story.ts';
import { placeFor } from './demo-target.ts';
import { type Installation, startInstallation } from './installation.ts';
import { problemOf } from './lib/error.ts';

/** How soon a push is seen: the repository lies on this machine, so asking it often costs nothing. */
const POLL_MS = 500;

/**
 * Plays the story on an installation of its own and keeps it running until it is told to stop; with `ci` it ends by itself.
 * Whatever it started is stopped, and its folder removed, also when the story goes wrong.
 * @returns 0 when every step was as the story says, 2 when it was stopped before its end, else 1
 */
export async function demo(options: DemoOptions): Promise<number> {
  const sinceMs = Number(process.env['TOWPATH_DEMO_SINCE']) * 1000 || Date.now();
  const folder = await ownFolder(options.data);
  const server = lastWords();
  let installation: Installation | undefined;
  try {
    say('Towpath: one artifact, one path to production.');
    const place = await placeFor(options);
    say(place.says);
    say('Starting on embedded defaults: Postgres, a registry, a proxy, and the server itself.');
    const data = join(folder, 'data');
    installation = await startInstallation({
      data,
      cache: cacheDirectory(),
      host: '127.0.0.1',
      port: options.port ?? 0,
      roles: ['api', 'worker'],
      allow: ['https', 'ssh', 'http', 'file'],
      pollEveryMs: POLL_MS,
      log: pino({ level: 'warn' }, server),
      firstPort: firstPort(options.ci),
    });
    const { url } = installation;
    const shop = await createShop(folder, place);
    await layAdvisories(join(data, 'advisories'));
    say(`It listens on ${url} and keeps all it has in ${folder}`);
    say('To type along in another terminal:');
    say(`  ${await towpathCommand()}cd ${shop.directory}; export TOWPATH_DATA=${data}`);
    const token = (await readLocalToken(data)) ?? '';
    const io = processIo(options.signal);
    const stage = createStage({
      io,
      server: { url, token, data },
      shop,
      isPaced: !options.ci,
      sinceMs,
      signal: options.signal,
    });
    const { firstProdMs } = await playStory(stage, folder, url);
    await ending(stage, url);
    if (options.ci) say(`\nfigure demo.first-prod ${(firstProdMs / 1000).toFixed(1)} s goal <= 60`);
    else await untilStopped(options.signal);
    return 0;
  } catch (error) {
    const { what, fix, code } = problemOf(error);
    if (options.signal.aborted) return 2;
    process.stderr.write(`${server.told()}\nThe demo went wrong: ${what}\n${fix}\n${code}\n`);
    return 1;
  } finally {
    say('\nStopping what the demo started: services, proxy, server and Postgres.');
    await installation?.stop({ everything: true });
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Where to look, and what to try: the installation is the watcher's now. */
async function ending(stage: Stage, url: string): Promise<void> {
  await stage.chapter(
    'What runs where',
    'Each column is an environment; ">" marks what is newer than in the next one.',
  );
  const { code } = await stage.towpath('status');
  stage.expect(code === 0, 'the matrix', `exit code ${code}`);
  stage.tell(`\n    The same, live, as a page: ${url} (\`towpath open\` prints an address that lets you in)`);
  stage.tell('    Try next:');
  for (const [command, what] of NEXT) stage.tell(`      ${command.padEnd(34)} ${what}`);
}

const NEXT: readonly (readonly [string, string])[] = [
  ['towpath lineage v1.0.0', 'from the commit to prod, with the evidence'],
  ['towpath diff demo prod', 'what demo has and prod lacks'],
  ['towpath why v1.2.0', 'what each environment asks of it, with the evidence'],
  ['towpath rollback demo --wait', 'back to what ran before, without a build'],
  ['towpath up --watch URL', 'the same on a repository of yours'],
];

/** From a clone that nobody installed, the command has no name yet. */
async function towpathCommand(): Promise<string> {
  if ((await findProgram('towpath')) !== null) return '';
  return `alias towpath='${process.execPath} ${process.argv[1] ?? ''}'; `;
}

async function untilStopped(signal: AbortSignal): Promise<void> {
  say('\nIt keeps running. Ctrl-C stops it and removes all that it made.');
  if (!signal.aborted) await new Promise((stop) => signal.addEventListener('abort', stop, { once: true }));
}

/** Nothing of the user's is ever removed: a folder that was named has to be empty. */
async function ownFolder(given: string | undefined): Promise<string> {
  const folder = given === undefined ? await mkdtemp(join(tmpdir(), 'towpath-demo-')) : resolve(given);
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0)
    throw new DemoError({
      code: 'demo.folder-not-empty',
      what: `The demo removes its folder at the end, and ${folder} is not empty.`,
      fix: 'Name another folder with --data, or none.',
    });
  await chmod(folder, 0o711); // Postgres and services run as users of their own, in folders below
  return folder;
}

/** What the server warns of is kept for the case that the story goes wrong; its errors are shown at once. */
function lastWords() {
  const lines: string[] = [];
  return {
    write(line: string): void {
      if (/^\{"level":[56]0,/.test(line)) process.stderr.write(line);
      else lines.push(line);
      if (lines.length > 40) lines.shift();
    },
    told: () => (lines.length === 0 ? '' : `\nThe server said last:\n${lines.join('')}`),
  };
}

/** Downloads outlive the demo, so that the second one is fast. */
function cacheDirectory(): string {
  const { TOWPATH_CACHE: given, XDG_CACHE_HOME: caches } = process.env;
  return given ?? join(caches ?? join(homedir(), '.cache'), 'towpath');
}

/** Without a person who reads addresses, several may play at once on a machine: each takes ports elsewhere. */
function firstPort(isAlone: boolean): number {
  const given = Number(process.env['TOWPATH_FIRST_PORT']);
  if (given > 0) return given;
  return isAlone ? randomInt(100, 190) * 100 : 7100;
}

/** The story is the answer of this command. */
function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
