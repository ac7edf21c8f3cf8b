/**
 * Orders two versions as dpkg does: below 0 when the first is older. @see deb-version(7)
 */
export function compareDebianVersions(one: string, other: string): number {
  const [left, right] = [partsOf(one), partsOf(other)];
  return (
    left.epoch - right.epoch || compareText(left.upstream, right.upstream) || compareText(left.revision, right.revision)
  );
}

function partsOf(version: string): { epoch: number; upstream: string; revision: string } {
  const [, epoch = '0', rest = ''] = /^(?:(\d+):)?(.*)$/s.exec(version) ?? [];
  const dash = rest.lastIndexOf('-');
  return dash < 0
    ? { epoch: Number(epoch), upstream: rest, revision: '' }
    : { epoch: Number(epoch), upstream: rest.slice(0, dash), revision: rest.slice(dash + 1) };
}

/** Runs of other characters and runs of digits in turn: the first by letter, the second by value. */
function compareText(one: string, other: string): number {
  const left = [...one.matchAll(/([^\d]*)(\d*)/g)];
  const right = [...other.matchAll(/([^\d]*)(\d*)/g)];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [, leftText = '', leftNumber = ''] = left[at] ?? [];
    const [, rightText = '', rightNumber = ''] = right[at] ?? [];
    const difference = compareLetters(leftText, rightText) || Number(leftNumber) - Number(rightNumber);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A tilde sorts before the end, the end before letters, letters before the rest. */
function compareLetters(one: string, other: string): number {
  for (let at = 0; at < Math.max(one.length, other.length); at++) {
    const difference = weight(one[at]) - weight(other[at]);
    if (difference !== 0) return difference;
  }
  return 0;
}

function weight(letter: string | undefined): number {
  if (letter === undefined) return 0;
  if (letter === '~') return -1;
  const code = letter.codePointAt(0) ?? 0;
  return /[a-zA-Z]/.test(letter) ? code : code + 256;
}
