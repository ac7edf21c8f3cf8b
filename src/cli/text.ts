/** Colours are decoration: whatever they say, the words say too. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const CODES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

export type Paint = (style: Style, text: string) => string;

/** @see no-color.org: set and not empty, whatever its value */
export function paintFor(isTTY: boolean, env: Readonly<Record<string, string | undefined>>): Paint {
  const isPlain = !isTTY || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return (style, text) =>
    isPlain || text === '' ? text : `\u001b[${CODES[style][0]}m${text}\u001b[${CODES[style][1]}m`;
}

/**
 * Takes the control characters out of every string of a JSON value: a commit's subject is written by anybody, and must
 * not move the cursor, rename the window or hide what a person is about to approve.
 */
export function clean<Value>(value: Value): Value {
  if (typeof value === 'string') return value.replace(CONTROL, '\ufffd') as Value;
  if (Array.isArray(value)) return value.map((item: unknown) => clean(item)) as Value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, clean(item)])) as Value;
}

/** A line of a build's log keeps its colours and loses every other escape. */
export function cleanLogLine(line: string): string {
  return line
    .split(SGR)
    .map((part, index) => (index % 2 === 1 ? part : part.replace(CONTROL, '')))
    .join('');
}

// oxlint-disable-next-line no-control-regex -- these are the characters to find
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;
// oxlint-disable-next-line no-control-regex -- the same
const SGR = /(\u001b\[[0-9;]{0,30}m)/;

/** Columns as wide as their widest cell; the last one is never padded. */
export function table(
  rows: readonly (readonly string[])[],
  paint?: (cell: string, row: number, column: number) => string,
): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, widthOf(cell))));
  const line = (row: readonly string[], y: number) =>
    row
      .map((cell, x) => {
        const shown = paint === undefined ? cell : paint(cell, y, x);
        return x === row.length - 1 ? shown : shown + ' '.repeat((widths[x] ?? 0) - widthOf(cell));
      })
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
}

/** Counts code points: good enough for names and subjects, and never too narrow for ASCII. */
function widthOf(cell: string): number {
  return Array.from(cell).length;
}

export function ago(instant: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(instant)) / 1_000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

export function shortSha(commit: string): string {
  return commit.slice(0, 7);
}

/** `#12 v1.0.0 4f2a91c Subject`: what a person needs to know a release by. */
export function releaseTitle(release: {
  readonly number: number;
  readonly commit: string;
  readonly subject: string;
  readonly names: readonly string[];
}): string {
  return [`#${release.number}`, ...release.names.slice(0, 2), shortSha(release.commit), release.subject].join(' ');
}
