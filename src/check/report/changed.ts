import type { ChangedLines, LineRange } from '../../git/changed-lines.ts';
import type { Coverage, LineCounts } from './report.ts';

/** Of the lines that changed, those that can run. */
export interface ChangedCoverage extends LineCounts {
  /** `src/a.ts:3-5,9`: the first of those that did not run. */
  readonly uncovered: readonly string[];
  /** Changed files like those of the report that the report does not name: nobody knows what of them ran. */
  readonly unreported: readonly string[];
}

const SHOWN_FILES = 50;
const SHOWN_RANGES = 20;

/**
 * How much of what changed ran.
 * @param files of the service that count, relative to it
 * @param workdir where they lie in the image
 * @returns null when the report names none of them
 */
export function changedCoverage(
  report: Coverage,
  changed: ChangedLines,
  { files, workdir }: { readonly files: readonly string[]; readonly workdir: string },
): ChangedCoverage | null {
  const measured = measuredFiles(report, files, workdir);
  if (measured.size === 0) return null;
  let covered = 0;
  let total = 0;
  const uncovered: string[] = [];
  const unreported: string[] = [];
  const endings = new Set([...measured.keys()].map(endingOf));
  const known = new Set(files);
  for (const [file, ranges] of changed) {
    if (!known.has(file)) continue;
    const lines = measured.get(file);
    if (lines === undefined) {
      if (endings.has(endingOf(file)) && unreported.length < SHOWN_FILES) unreported.push(file);
      continue;
    }
    const sorted = [...lines].toSorted(([one], [other]) => one - other);
    const isChanged = within(ranges);
    const counted = sorted.filter(([line]) => isChanged(line));
    const missed = new Set(counted.flatMap(([line, times]) => (times > 0 ? [] : [line])));
    total += counted.length;
    covered += counted.length - missed.size;
    if (missed.size > 0 && uncovered.length < SHOWN_FILES) uncovered.push(`${file}:${spoken(missed, sorted)}`);
  }
  return { covered, total, uncovered, unreported };
}

/** The files of the service that a report names, however it calls them: how often their lines ran adds up. */
function measuredFiles(
  report: Coverage,
  files: readonly string[],
  workdir: string,
): Map<string, ReadonlyMap<number, number>> {
  const fileOf = matcher(files, workdir);
  const measured = new Map<string, Map<number, number>>();
  for (const [name, lines] of report) {
    const file = fileOf(name);
    if (file === null) continue;
    const sum = measured.get(file) ?? new Map<number, number>();
    measured.set(file, sum);
    for (const [line, times] of lines) sum.set(line, (sum.get(line) ?? 0) + times);
  }
  return measured;
}

/**
 * Which file of the service a report means: by its path from the service, by its path in the image, else by the longest
 * end that is a file of the service, else by being the end of one alone. What lies in `node_modules` is no file of it.
 */
function matcher(files: readonly string[], workdir: string): (name: string) => string | null {
  const known = new Set(files);
  const byName = new Map<string, string[]>();
  for (const file of files) byName.set(nameOf(file), [...(byName.get(nameOf(file)) ?? []), file]);
  const root = `${workdir.replace(/\/$/, '')}/`;
  return (name) => {
    const path = name.replaceAll('\\', '/').replace(/^(?:\.\/)+/, '');
    const inside = path.startsWith(root) ? path.slice(root.length) : path;
    if (known.has(inside)) return inside;
    if (inside.startsWith('node_modules/') || inside.includes('/node_modules/')) return null;
    if (inside !== path) return null;
    const candidates = byName.get(nameOf(path)) ?? [];
    const ends = candidates.filter((file) => path.endsWith(`/${file}`));
    if (ends.length > 0) return ends.reduce((one, other) => (other.length > one.length ? other : one));
    const longer = path.startsWith('/') ? [] : candidates.filter((file) => file.endsWith(`/${path}`));
    return longer.length === 1 ? (longer[0] ?? null) : null;
  };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function endingOf(path: string): string {
  const name = nameOf(path);
  return name.includes('.') ? name.slice(name.lastIndexOf('.')) : '';
}

/** Asked of lines in rising order, of ranges in rising order. */
function within(ranges: readonly LineRange[]): (line: number) => boolean {
  let at = 0;
  return (line) => {
    while (at < ranges.length && (ranges[at]?.[1] ?? 0) < line) at++;
    return (ranges[at]?.[0] ?? Infinity) <= line;
  };
}

/** Lines between which none can run are one range: `3-5,9`. @param sorted all lines of the file that can run */
function spoken(missed: ReadonlySet<number>, sorted: readonly (readonly [number, number])[]): string {
  const ranges: [number, number][] = [];
  let isOpen = false;
  for (const [line] of sorted) {
    const last = ranges.at(-1);
    if (!missed.has(line)) isOpen = false;
    else if (isOpen && last !== undefined) last[1] = line;
    else {
      ranges.push([line, line]);
      isOpen = true;
    }
  }
  const shown = ranges
    .slice(0, SHOWN_RANGES)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return `${shown.join(',')}${ranges.length > SHOWN_RANGES ? ',...' : ''}`;
}
