import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { advisoriesIn } from '../../check/kinds/scan/advisories/folder.ts';
import { FAMILIES } from '../../check/kinds/scan/advisories/order.ts';
import { OSV_DUMPS, readSources, type Sources } from '../../check/kinds/scan/advisories/sources.ts';
import { type AdvisoriesView, statusOf } from '../../check/kinds/scan/advisories/status.ts';
import { type Progress, type Updated, updateAdvisories } from '../../check/kinds/scan/advisories/update.ts';
import { formatDuration } from '../../lib/duration.ts';
import { TowpathError } from '../../lib/error.ts';
import { nearestWord } from '../../lib/nearest.ts';
import { outsideAgents } from '../../registry/client/agents.ts';
import { CliError, usage } from '../cli-error.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit.ts';
import type { Output } from '../output.ts';
import { dataDirectoryOf } from '../settings.ts';
import { ago, table } from '../text.ts';

/** Tells how old the advisories are. */
export async function advisoriesStatus(context: Context, maxAge: number): Promise<number> {
  const directory = advisoriesOf(context);
  const [database, sources] = [await advisoriesIn(directory).current(), await readSources(directory)];
  const limits = { maxAgeMs: maxAge, now: context.io.clock.now() };
  const view = statusOf({ directory, database, sources }, limits);
  context.out.data(view, (shown) => statusText(shown, context));
  return view.state === 'fresh' ? EXIT.ok : EXIT.failed;
}

/** Fetches them again. @param at a mirror, from now on */
export async function updateHere(context: Context, names: readonly string[], at: string | undefined): Promise<number> {
  const directory = advisoriesOf(context);
  await requirePlace(context, directory);
  const sources = wantedOf(await readSources(directory), names, at);
  const { io, out } = context;
  const done = await updateAdvisories(directory, sources, {
    agentFor: outsideAgents({ environment: io.env }),
    signal: io.signal,
    now: io.clock.now(),
    onProgress: progressOn(out),
  }).catch((error: unknown) => {
    throw io.signal.aborted ? stopped() : error;
  });
  out.data({ directory, sources: done }, ({ sources: shown }) => table(shown.map(updatedRow)));
  const failed = done.find((one) => one.state === 'failed');
  if (failed !== undefined) throw new TowpathError(failed.problem);
  return EXIT.ok;
}

function advisoriesOf({ common, io }: Context): string {
  return io.env['TOWPATH_ADVISORIES'] || join(dataDirectoryOf(common, io), 'advisories');
}

/** A place that nobody reads is not made by accident. */
async function requirePlace({ common, io }: Context, directory: string): Promise<void> {
  const data = dataDirectoryOf(common, io);
  for (const place of [directory, data]) if ((await stat(place).catch(() => null))?.isDirectory() === true) return;
  throw new CliError({
    code: 'cli.no-data-directory',
    what: `There is no data directory ${data}.`,
    fix: 'Run it on the machine of the server, with its --data or TOWPATH_ADVISORIES.',
  });
}

/** @throws CliError `cli.usage-invalid` */
function wantedOf(known: Sources, names: readonly string[], at: string | undefined): Sources {
  for (const name of names)
    if (!FAMILIES.includes(name)) {
      const meant = nearestWord(name, FAMILIES);
      throw usage(`"${name}" is no ecosystem that is known here.`, `Choose ${meant ?? `of ${FAMILIES.join(', ')}`}.`);
    }
  const wanted = names.length === 0 ? Object.keys(known) : names;
  if (wanted.length === 0)
    throw usage('Nothing was fetched here before.', 'Name what your images have: `towpath scan db update npm Debian`.');
  return Object.fromEntries(
    wanted.map((name) => {
      const url = at === undefined ? known[name]?.url : undefined;
      const source =
        url === undefined ? { url: `${at ?? OSV_DUMPS}${encodeURIComponent(name)}/all.zip` } : { ...known[name], url };
      return [name, source];
    }),
  );
}

/** On a terminal each tenth replaces the one before; elsewhere it is a line. */
function progressOn(out: Output): (progress: Progress) => void {
  return ({ ecosystem, bytes, ofBytes, step }) => {
    if (step === 'checking') return out.progress(`${ecosystem}: looking through ${megabytes(bytes)}`);
    const of = ofBytes === null ? '' : ` of ${megabytes(ofBytes)}`;
    const each = ofBytes === null ? 10_000_000 : Math.ceil(ofBytes / 10);
    out.progress(`${ecosystem}: ${megabytes(Math.floor(bytes / each) * each)}${of}`);
  };
}

function statusText(
  { directory, ecosystems, todo, at, ageMs, maxAgeMs, state, records }: AdvisoriesView,
  { out, io }: Context,
): string {
  const now = io.clock.now();
  const age = at === null || ageMs === null ? 'none' : `${recordsText(records)} of ${at.slice(0, 10)}, ${ago(at, now)}`;
  const rows = ecosystems.map((one) => [
    one.ecosystem,
    recordsText(one.records),
    one.at.slice(0, 10),
    ago(one.at, now),
    one.source ?? 'put there by hand',
  ]);
  const colour = state === 'fresh' ? 'green' : 'red';
  return [
    `${out.paint('bold', directory)}: ${age} (at most ${formatDuration(maxAgeMs)})`,
    ...(rows.length === 0 ? [] : [table(rows)]),
    `${out.paint(colour, state)}: ${todo}`,
  ].join('\n');
}

function updatedRow(one: Updated): string[] {
  const of = 'asOf' in one && one.asOf !== null ? `as of ${one.asOf.slice(0, 16)}Z` : '';
  switch (one.state) {
    case 'updated':
      return [one.ecosystem, 'updated', `${recordsText(one.records)}, ${megabytes(one.bytes)}`, of];
    case 'unchanged':
      return [one.ecosystem, 'unchanged', '', of];
    case 'failed':
      return [one.ecosystem, 'failed', 'what was there stays', one.problem.code];
    default:
      return one satisfies never;
  }
}

function recordsText(many: number): string {
  return `${many} ${many === 1 ? 'record' : 'records'}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function stopped(): CliError {
  return new CliError({ code: 'cli.cancelled', what: 'Stopped.', fix: 'What was there before stays in use.' });
}
