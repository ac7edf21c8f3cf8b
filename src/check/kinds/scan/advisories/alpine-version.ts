const VERSION =
  /^(?<numbers>\d+(?:\.\d+)*)(?<letter>[a-z])?(?<suffixes>(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*)(?<hash>~[0-9a-f]+)?(?:-r(?<revision>\d+))?$/;

/** Those before `''` are older than the version without them. */
const SUFFIXES = ['alpha', 'beta', 'pre', 'rc', '', 'cvs', 'svn', 'git', 'hg', 'p'];

export function isAlpineVersion(version: string): boolean {
  return VERSION.test(version);
}

/**
 * Orders two versions as apk does: below 0 when the first is older.
 * @param one and the other are versions: `1.2.3a_rc1-r4`
 * @see https://wiki.alpinelinux.org/wiki/Package_policies
 */
export function compareAlpineVersions(one: string, other: string): number {
  const [left, right] = [partsOf(one), partsOf(other)];
  return (
    compareNumbers(left.numbers, right.numbers) ||
    compareText(left.letter, right.letter) ||
    compareSuffixes(left.suffixes, right.suffixes) ||
    left.revision - right.revision
  );
}

function partsOf(version: string) {
  const { numbers = '', letter = '', suffixes = '', revision = '0' } = VERSION.exec(version)?.groups ?? {};
  return { numbers: numbers.split('.'), letter, suffixes: suffixes.split('_').slice(1), revision: Number(revision) };
}

/** The first by value; of the others one that begins with a zero is a fraction. */
function compareNumbers(left: readonly string[], right: readonly string[]): number {
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [one, other] = [left[at], right[at]];
    if (one === undefined || other === undefined) return left.length - right.length;
    const isFraction = at > 0 && (one.startsWith('0') || other.startsWith('0'));
    const difference = isFraction ? compareText(one, other) : compareValues(one, other);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Of any length: `20240101120000` is no number of ours. */
function compareValues(one: string, other: string): number {
  const [left, right] = [one.replace(/^0+(?=.)/, ''), other.replace(/^0+(?=.)/, '')];
  return left.length - right.length || compareText(left, right);
}

function compareSuffixes(left: readonly string[], right: readonly string[]): number {
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [one, other] = [suffixOf(left[at]), suffixOf(right[at])];
    const difference = one.rank - other.rank || compareValues(one.number, other.number);
    if (difference !== 0) return difference;
  }
  return 0;
}

function suffixOf(suffix = ''): { rank: number; number: string } {
  const [, word = '', number = ''] = /^([a-z]*)(\d*)$/.exec(suffix) ?? [];
  return { rank: SUFFIXES.indexOf(word), number: number === '' ? '0' : number };
}

function compareText(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
