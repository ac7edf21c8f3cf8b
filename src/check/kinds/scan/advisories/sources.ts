import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { writeDurably } from '../../../../lib/durable-file.ts';
import { CheckError } from '../../../error.ts';

/** What of a folder of advisories was fetched, and whence; at its top. */
export const SOURCES_FILE = 'sources.json';

/** Where osv.dev keeps what it knows of each ecosystem. @see https://google.github.io/osv.dev/data/#data-dumps */
export const OSV_DUMPS = 'https://storage.googleapis.com/osv-vulnerabilities/';

const Source = z.object({
  url: z.url({ protocol: /^https?$/ }),
  /** Of the zip, in hexadecimal digits; whoever puts another one there by hand takes away what is said here of it. */
  sha256: z.string().optional(),
  /** When the source made it, as that says. */
  asOf: z.iso.datetime().optional(),
  etag: z.string().optional(),
});
const File = z.object({ sources: z.record(z.string(), Source) });

export type Source = z.output<typeof Source>;
/** By the ecosystem, which is the name of the folder of its zip, too. */
export type Sources = Readonly<Record<string, Source>>;

/** @throws CheckError `check.advisories-broken` */
export async function readSources(directory: string): Promise<Sources> {
  const text = await readFile(join(directory, SOURCES_FILE), 'utf8').catch(() => null);
  return text === null ? {} : sourcesIn(text);
}

export async function writeSources(directory: string, sources: Sources): Promise<void> {
  await writeDurably(join(directory, SOURCES_FILE), `${JSON.stringify({ sources }, null, 2)}\n`, 0o644);
}

export function fileOf(ecosystem: string): string {
  return `${ecosystem}/all.zip`;
}

function sourcesIn(text: string): Sources {
  try {
    return File.parse(JSON.parse(text)).sources;
  } catch {
    throw new CheckError({
      code: 'check.advisories-broken',
      what: `The advisories of this server cannot be used: ${SOURCES_FILE} does not say where they come from.`,
      fix: `Take ${SOURCES_FILE} away, and name the sources again: \`towpath scan db update npm\`.`,
    });
  }
}
