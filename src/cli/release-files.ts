import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { EvidenceDetail } from '../flow/view/release.ts';
import { CliError, usage } from './cli-error.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';

type Row = EvidenceDetail['files'][number] &
  Pick<EvidenceDetail, 'id' | 'check' | 'service'> & { readonly saved?: string };

interface Wish {
  readonly release: string;
  readonly check: string;
  /** The folder where they are saved. */
  readonly into: string | undefined;
}

/** What the runs of a release's checks have left. @throws CliError when a check has no answer, or a file is there already */
export async function filesOf(context: Context, { release, check, into }: Wish): Promise<Row[]> {
  const client = await context.client();
  const project = await context.project();
  const { evidence } = await client.call('release.show', { params: { project, release } });
  const meant = evidence.filter((one) => check === '' || one.check === check);
  if (check !== '' && meant.length === 0)
    throw usage(
      `${release} has no answered check "${check}".`,
      `\`towpath release show ${release}\` names those that have answered.`,
    );
  const rows: Row[] = [];
  for (const { id, kept } of meant) {
    if (kept === 0) continue;
    const { files, ...of } = await client.call('evidence.show', { params: { project, evidence: id } });
    for (const file of files) {
      const row = { ...file, id, check: of.check, service: of.service };
      if (into === undefined || file.gone) rows.push(row);
      else rows.push({ ...row, saved: await save(client, project, row, into) });
    }
  }
  return rows;
}

/** Under the names of check, service and file. It comes from a server, which may be any: no name leaves the folder. */
async function save(client: Client, project: string, { id, check, service, path }: Row, into: string): Promise<string> {
  const parts = [check, ...(service === null ? [] : [service]), ...path.split('/')];
  // oxlint-disable-next-line no-control-regex -- these are the characters to find
  if (parts.some((part) => part === '' || part === '.' || part === '..' || /[\u0000-\u001f\\]/.test(part)))
    throw new CliError({
      code: 'cli.file-name',
      what: `The server names a file ${JSON.stringify(path)}, which no folder can hold.`,
      fix: 'Ask whoever runs that server.',
    });
  const to = join(into, ...parts);
  await mkdir(dirname(to), { recursive: true });
  const file = await open(to, 'wx').catch((error: unknown) => {
    throw new CliError(
      { code: 'cli.not-saved', what: `${to} cannot be written.`, fix: 'Name a folder that is new, with --into.' },
      { cause: error },
    );
  });
  try {
    for await (const bytes of client.bytes('evidence.file', { params: { project, evidence: id }, query: { path } }))
      await file.write(bytes);
  } finally {
    await file.close();
  }
  return to;
}
