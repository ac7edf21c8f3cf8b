import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Snapshot, SnapshotFile, Snapshots } from '../../../git/snapshot.ts';
import { type Digest, sha256 } from '../../../lib/digest.ts';
import { TowpathError } from '../../../lib/error.ts';
import { readImage, writeImage } from '../image-field.ts';
import { parseManifest } from '../manifest/manifest.ts';
import { imageFieldsOf, type LeftOut } from './image-fields.ts';
import type { KnownProject } from './match-services.ts';
import { planProposal, type Proposal, type SeenField, whereOf } from './proposal.ts';

/** What is read of a repository at most. */
export interface SurveyLimits {
  readonly fileBytes: number;
  readonly files: number;
  readonly fields: number;
  /** How many are tried by the driver, and so proposed. */
  readonly places: number;
  readonly timeMs: number;
}

/** One that was made to exhaust its reader ends at these. */
export const SURVEY_LIMITS: SurveyLimits = {
  fileBytes: 512 * 1024,
  files: 20_000,
  fields: 20_000,
  places: 2_000,
  timeMs: 120_000,
};

export interface SurveyOptions {
  /** The one whose folders tell environments apart comes first. */
  readonly branches: readonly [string, ...string[]];
  readonly known: KnownProject | null;
  /** Milliseconds of a clock that only goes on. */
  readonly now: () => number;
  readonly limits?: Partial<SurveyLimits>;
  readonly signal: AbortSignal;
}

export interface Surveyed extends Proposal {
  readonly branches: readonly { readonly branch: string; readonly commit: string; readonly files: number }[];
}

/**
 * Looks through branches of a manifest repository. What it proposes, the driver was asked to write and to read again, on the
 * bytes that stand there: a field that it refuses is left out with its reason.
 * @throws GitError when a branch cannot be read
 */
export async function surveyManifests(snapshots: Snapshots, options: SurveyOptions): Promise<Surveyed> {
  const limits = { ...SURVEY_LIMITS, ...options.limits };
  const started = options.now();
  const isOver = (): boolean => options.now() - started > limits.timeMs;
  const state: State = { options, limits, isOver, seen: [], leftOut: [], files: 0, at: new Map() };
  const branches: Surveyed['branches'][number][] = [];
  for (const branch of options.branches) {
    const snapshot = await snapshots.at(branch);
    branches.push({ branch, commit: snapshot.commit, files: snapshot.files.length });
    await lookThrough(state, snapshot);
  }
  const proposal = await proven(state);
  return { ...proposal, branches, leftOut: [...proposal.leftOut, ...state.leftOut] };
}

interface State {
  readonly options: SurveyOptions;
  readonly limits: SurveyLimits;
  readonly isOver: () => boolean;
  readonly seen: SeenField[];
  readonly leftOut: LeftOut[];
  files: number;
  /** Branch and file -> how its bytes are had again. */
  readonly at: Map<string, () => Promise<Buffer>>;
}

async function lookThrough(state: State, snapshot: Snapshot): Promise<void> {
  const { limits, options, leftOut } = state;
  const { branch } = snapshot;
  const prefix = branch === options.branches[0] ? '' : `${branch}: `;
  const yaml = snapshot.files.filter(({ path }) => /(?:\.ya?ml|(?:^|\/)Kustomization)$/i.test(path));
  const { links, submodules, unreadableNames } = snapshot.leftOut;
  if (links > 0) leftOut.push({ where: `${prefix}symbolic links (${links})`, why: 'are not followed' });
  if (submodules > 0) leftOut.push({ where: `${prefix}submodules (${submodules})`, why: 'are other repositories' });
  if (unreadableNames > 0)
    leftOut.push({ where: `${prefix}files (${unreadableNames})`, why: 'have names that are not UTF-8' });
  const charts = new Set(
    snapshot.files.filter(({ path }) => /(?:^|\/)Chart\.ya?ml$/.test(path)).map(({ path }) => folderOf(path)),
  );
  const templates = new Map<string, number>();
  let unread = 0;
  for (const file of yaml) {
    options.signal.throwIfAborted();
    const chart = chartOf(file.path, charts);
    if (chart !== null) templates.set(chart, (templates.get(chart) ?? 0) + 1);
    else if (state.files >= limits.files || state.seen.length >= limits.fields || state.isOver()) unread += 1;
    else await lookInto(state, snapshot, file, prefix);
  }
  for (const [chart, many] of templates)
    leftOut.push({
      where: `${prefix}${chart} (${many})`,
      why: 'are templates of a chart: its values hold the images',
    });
  if (unread > 0)
    leftOut.push({
      where: `${prefix}files (${unread})`,
      why: `were not read: after ${limits.files} files, ${limits.fields} images or ${limits.timeMs / 1000} s it is enough`,
    });
}

async function lookInto(state: State, snapshot: Snapshot, file: SnapshotFile, prefix: string): Promise<void> {
  const { seen, leftOut, limits } = state;
  const where = `${prefix}${file.path}`;
  const leave = (why: string): unknown => leftOut.push({ where, why });
  if (!isPlainPath(file.path)) return void leave('has a name that is too long, or characters that cannot be seen');
  if (file.bytes === null) return void leave(`has more than ${limits.fileBytes / 1024} kB, or is not in this clone`);
  state.files += 1;
  if (state.files % 50 === 0) await nextTurn(); // so that a signal is heard
  const bytes = await snapshot.read(file);
  const text = bytes.toString('latin1');
  if (!/image|repository/i.test(text)) return;
  try {
    const found = imageFieldsOf(parseManifest(bytes, file.path));
    leftOut.push(...found.leftOut.map((one) => ({ ...one, where: `${prefix}${one.where}` })));
    seen.push(...found.fields.map((field) => ({ ...field, branch: snapshot.branch })));
    if (found.fields.length > 0) state.at.set(keyOf(snapshot.branch, file.path), () => snapshot.read(file));
  } catch (error) {
    if (!(error instanceof TowpathError)) throw error;
    leave(text.includes('{{') ? 'is a template' : error.what.replace(`${file.path} `, '').replace(/\.$/, ''));
  }
}

/** Plans until each field of the plan has been written once: one that is refused may let another take its place. */
async function proven(state: State): Promise<Proposal> {
  const { options, limits, isOver } = state;
  const refused = new Map<SeenField, string>();
  const good = new Set<SeenField>();
  for (;;) {
    const fields = state.seen.filter((field) => !refused.has(field));
    const proposal = planProposal(fields, options.branches[0], options.known);
    const open = proposal.taken.filter((field) => !good.has(field));
    if (open.length === 0) {
      const more = [...refused].map(([{ place, branch }, why]) => ({
        where: whereOf(place, branch === options.branches[0] ? null : branch),
        why,
      }));
      return { ...proposal, leftOut: [...proposal.leftOut, ...more] };
    }
    for (const field of open) {
      options.signal.throwIfAborted();
      await nextTurn();
      const why = isOver()
        ? 'was not tried: the time was over'
        : good.size >= limits.places
          ? `was not tried: ${limits.places} places are enough`
          : await refusal(state, field);
      if (why === null) good.add(field);
      else refused.set(field, why);
    }
  }
}

const SAMPLE: Digest = sha256('towpath gitops import');

/** @returns why the driver would not write there; null when it would */
async function refusal({ at }: State, { branch, place }: SeenField): Promise<string | null> {
  const read = at.get(keyOf(branch, place.file));
  try {
    const before = (await read?.()) ?? Buffer.alloc(0);
    const after = writeImage(before, place, { digest: SAMPLE, tag: 'v0' }, 'digest');
    return readImage(after, place) === SAMPLE ? null : 'reads otherwise than it was written';
  } catch (error) {
    if (!(error instanceof TowpathError)) throw error;
    return `would be refused (${error.code}): ${error.what.replace(/\.$/, '')}`;
  }
}

function chartOf(path: string, charts: ReadonlySet<string>): string | null {
  for (let at = path.indexOf('templates/'); at >= 0; at = path.indexOf('templates/', at + 1))
    if ((at === 0 || path[at - 1] === '/') && charts.has(folderOf(path.slice(0, at + 'templates'.length))))
      return path.slice(0, at + 'templates'.length);
  return null;
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

/** As `RelativePath` takes it, and with nothing in it that would not be seen. */
function isPlainPath(path: string): boolean {
  return path.length <= 400 && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/u.test(path);
}

function keyOf(branch: string, file: string): string {
  return `${branch}\0${file}`;
}
