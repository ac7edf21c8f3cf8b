import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { Advisories } from '../../../advisory.ts';
import { cycloneDxOf } from '../sbom/write.ts';
import { lookUp, type Scanner } from '../scanner.ts';
import { type ProgramEnd, vulnerabilitiesIn } from './answer.ts';

const MOST_OUTPUT_BYTES = 256 * 1024 * 1024;

/** The folders in which its versions look below the one that they are told. */
const FOLDERS = ['osv-scanner', 'osv-scalibr'];

/**
 * The program osv-scanner on this server, over the same advisories: as zips, each in the folder of its ecosystem, as osv.dev
 * has them. It is asked without a network.
 */
export function osvScanner(
  advisories: Advisories,
  { program = 'osv-scanner', directory }: { readonly program?: string | undefined; readonly directory: string },
): Scanner {
  return {
    name: 'osv-scanner',
    scan: (packages, signal) =>
      lookUp(advisories, packages, async (known) => {
        await mkdir(directory, { recursive: true });
        const place = await mkdtemp(join(directory, 'scan-'));
        try {
          for (const folder of FOLDERS) await symlink(resolve(advisories.directory), join(place, folder));
          // it knows the packages of a distribution by their source alone
          const bom = cycloneDxOf(known.map((one) => ({ ...one, called: one.name })));
          await writeFile(join(place, 'bom.cdx.json'), bom);
          return vulnerabilitiesIn(await run(program, place, signal), known);
        } finally {
          await rm(place, { recursive: true, force: true });
        }
      }),
  };
}

async function run(program: string, place: string, signal: AbortSignal): Promise<ProgramEnd> {
  const home = join(place, 'home');
  await mkdir(home);
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY: place,
    OSV_SCALIBR_LOCAL_DB_CACHE_DIRECTORY: place,
  };
  const argv = ['scan', 'source', '--offline', '--offline-vulnerabilities', '--all-packages', '--format', 'json'];
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      [...argv, '-L', join(place, 'bom.cdx.json')],
      { env, cwd: place, signal, maxBuffer: MOST_OUTPUT_BYTES },
      (error, output, said) => {
        if (signal.aborted) return reject(signal.reason as Error);
        if (error !== null && typeof error.code === 'string')
          return resolve({ code: null, output: '', said: `it cannot be run (${error.code})` });
        resolve({ code: error === null ? 0 : child.exitCode, output, said });
      },
    );
  });
}
