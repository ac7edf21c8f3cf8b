const VERSION =
  /^(?<numbers>\d+(?:\.\d+)*)(?<letter>[a-z])?(?<suffixes>(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)\d*)*)(?:~(?<hash>[0-9a-f]+))?(?:-r(?<revision>\d+))?$/;

/** Those before `''` are older than the version without them. */
const SUFFIXES = ['alpha', 'beta', 'pre', 'rc', '', 'cvs', 'svn', 'git', 'hg', 'p'];
const NO_SUFFIX = SUFFIXES.indexOf('');

/** In the order in which they may follow each other; where two versions part, the one whose piece comes first here is newer. */
const KINDS = ['first', 'number', 'letter', 'suffix', 'suffix-number', 'hash', 'revision', 'end'] as const;

interface Piece {
  readonly kind: (typeof KINDS)[number];
  readonly text: string;
}

export function isAlpineVersion(version: string): boolean {
  return VERSION.test(version);
}

/**
 * Orders two versions as apk 3 does, piece by piece: below 0 when the first is older. apk 2 orders numbers with leading zeros
 * otherwise (`1.001`), and knows no hashes.
 * @param one and the other are versions: `1.2.3a_rc1~4f2a91c-r4`
 * @see https://wiki.alpinelinux.org/wiki/Package_policies
 */
export function compareAlpineVersions(one: string, other: string): number {
  const [left, right] = [piecesOf(one), piecesOf(other)];
  for (let at = 0; ; at++) {
    const [mine, its] = [left[at] ?? END, right[at] ?? END];
    if (mine.kind !== its.kind) return comparePartings(mine, its);
    const difference = compareSame(mine, its);
    if (difference !== 0 || mine.kind === 'end') return difference;
  }
}

const END: Piece = { kind: 'end', text: '' };

function piecesOf(version: string): Piece[] {
  const { numbers = '', letter, suffixes = '', hash, revision } = VERSION.exec(version)?.groups ?? {};
  const words = suffixes
    .split('_')
    .slice(1)
    .flatMap((suffix) => {
      const [, word = '', number = ''] = /^([a-z]+)(\d*)$/.exec(suffix) ?? [];
      return [piece('suffix', word), ...(number === '' ? [] : [piece('suffix-number', number)])];
    });
  return [
    ...numbers.split('.').map((number, at) => piece(at === 0 ? 'first' : 'number', number)),
    ...(letter === undefined ? [] : [piece('letter', letter)]),
    ...words,
    ...(hash === undefined ? [] : [piece('hash', hash)]),
    ...(revision === undefined ? [] : [piece('revision', revision)]),
  ];
}

function piece(kind: Piece['kind'], text: string): Piece {
  return { kind, text };
}

/** A suffix of a version that is still to come makes it older, whatever the other has there. */
function comparePartings(one: Piece, other: Piece): number {
  if (isBefore(one)) return -1;
  if (isBefore(other)) return 1;
  return KINDS.indexOf(other.kind) - KINDS.indexOf(one.kind);
}

function isBefore({ kind, text }: Piece): boolean {
  return kind === 'suffix' && SUFFIXES.indexOf(text) < NO_SUFFIX;
}

function compareSame(one: Piece, other: Piece): number {
  switch (one.kind) {
    case 'suffix':
      return SUFFIXES.indexOf(one.text) - SUFFIXES.indexOf(other.text);
    case 'number': {
      // one that begins with a zero is a fraction
      const isFraction = one.text.startsWith('0') || other.text.startsWith('0');
      return isFraction ? compareText(one.text, other.text) : compareValues(one.text, other.text);
    }
    case 'letter':
    case 'hash':
      return compareText(one.text, other.text);
    default:
      return compareValues(one.text, other.text);
  }
}

/** Of any length: `20240101120000` is no number of ours. */
function compareValues(one: string, other: string): number {
  const [left, right] = [one.replace(/^0+(?=.)/, ''), other.replace(/^0+(?=.)/, '')];
  return left.length - right.length || compareText(left, right);
}

function compareText(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
