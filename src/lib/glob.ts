/**
 * `path`: `*` and `?` stop at a slash, `**` does not, and a pattern that matches a folder matches all below it.
 * `file`: the same, but a folder that is matched says nothing of what is below it.
 * `name`: the text is one name, slashes are letters like others (so `*` matches every branch).
 */
export type GlobKind = 'path' | 'file' | 'name';

export type GlobMatch = (text: string) => boolean;

/**
 * Compiles a pattern of `*`, `**`, `?`, `[a-z]`, `[!a-z]`, `{one,two}` and `\` (the next letter means itself). All
 * states are followed at once, so the time is bounded by pattern times text, whatever an author writes.
 */
export function compileGlob(pattern: string, kind: GlobKind): GlobMatch {
  const alternatives = expandBraces(pattern).map((text) => parse(text, kind));
  return (text) => alternatives.some((tokens) => matches(tokens, text, kind));
}

type Test = (letter: string) => boolean;

/** `dirs` is `**` with the slash after it: no folder at all, or any number of whole ones. */
type Token = { readonly kind: 'one' | 'run'; readonly test: Test } | { readonly kind: 'dirs' };

const MOST_ALTERNATIVES = 64;

/** Beyond the limit a brace means itself: a pattern cannot grow without bound. */
function expandBraces(pattern: string): string[] {
  let done: string[] = [];
  let open = [pattern];
  while (open.length > 0) {
    const next: string[] = [];
    for (const text of open) {
      const brace = /^((?:[^\\{]|\\.)*)\{((?:[^\\{}]|\\.)*,(?:[^\\{}]|\\.)*)\}(.*)$/su.exec(text);
      if (brace === null) {
        done.push(text);
        continue;
      }
      const [, before = '', inner = '', after = ''] = brace;
      next.push(...splitAtCommas(inner).map((choice) => before + choice + after));
    }
    if (done.length + next.length > MOST_ALTERNATIVES) {
      done = [pattern];
      break;
    }
    open = next;
  }
  return done;
}

function splitAtCommas(inner: string): string[] {
  const parts = [''];
  for (const piece of inner.match(/\\.|[^\\]/gsu) ?? []) {
    if (piece === ',') parts.push('');
    else parts.push((parts.pop() ?? '') + piece);
  }
  return parts;
}

function parse(pattern: string, kind: GlobKind): Token[] {
  const text = kind !== 'name' ? pattern.replace(/^(?:\.?\/)+/, '').replace(/\/+$/, '') : pattern;
  const letters = Array.from(text);
  const tokens: Token[] = [];
  for (let at = 0; at < letters.length; at++) {
    const letter = letters[at] ?? '';
    if (letter === '*') {
      let stars = 1;
      while (letters[at + 1] === '*') {
        stars += 1;
        at += 1;
      }
      const isFolders =
        kind !== 'name' && stars > 1 && letters[at + 1] === '/' && ['/', undefined].includes(letters[at - stars]);
      if (isFolders) {
        tokens.push({ kind: 'dirs' });
        at += 1;
      } else {
        tokens.push({ kind: 'run', test: kind === 'name' || stars > 1 ? () => true : isNoSlash });
      }
    } else if (letter === '?') {
      tokens.push({ kind: 'one', test: kind === 'name' ? () => true : isNoSlash });
    } else if (letter === '[') {
      const end = letters.indexOf(']', at + (letters[at + 1] === '!' || letters[at + 1] === '^' ? 3 : 2));
      if (end === -1) {
        tokens.push({ kind: 'one', test: (other) => other === '[' });
      } else {
        tokens.push({ kind: 'one', test: parseSet(letters.slice(at + 1, end), kind) });
        at = end;
      }
    } else {
      const literal = letter === '\\' && at + 1 < letters.length ? (letters[++at] ?? '') : letter;
      tokens.push({ kind: 'one', test: (other) => other === literal });
    }
  }
  return tokens;
}

function isNoSlash(letter: string): boolean {
  return letter !== '/';
}

function parseSet(inner: readonly string[], kind: GlobKind): Test {
  const isNegated = inner[0] === '!' || inner[0] === '^';
  const letters = isNegated ? inner.slice(1) : inner;
  const ranges: [string, string][] = [];
  for (let at = 0; at < letters.length; at++) {
    const first = letters[at] ?? '';
    const last = letters[at + 1] === '-' ? letters[at + 2] : undefined;
    ranges.push([first, last ?? first]);
    if (last !== undefined) at += 2;
  }
  return (letter) =>
    (kind === 'name' || letter !== '/') &&
    ranges.some(([first, last]) => codeOf(letter) >= codeOf(first) && codeOf(letter) <= codeOf(last)) !== isNegated;
}

function codeOf(letter: string): number {
  return letter.codePointAt(0) ?? 0;
}

function matches(tokens: readonly Token[], text: string, kind: GlobKind): boolean {
  let states = new Set<number>();
  reach(tokens, states, 0);
  for (const letter of text) {
    if (kind === 'path' && letter === '/' && states.has(tokens.length)) return true; // it matched a folder above
    const next = new Set<number>();
    for (const state of states) {
      const token = tokens[state];
      if (token === undefined) continue;
      if (token.kind === 'one') {
        if (token.test(letter)) reach(tokens, next, state + 1);
      } else if (token.kind === 'run') {
        if (token.test(letter)) reach(tokens, next, state);
      } else {
        next.add(state);
        if (letter === '/') reach(tokens, next, state + 1);
      }
    }
    if (next.size === 0) return false;
    states = next;
  }
  return states.has(tokens.length);
}

/** Enters a state, and those behind it that need no letter. */
function reach(tokens: readonly Token[], states: Set<number>, state: number): void {
  if (states.has(state)) return;
  states.add(state);
  const token = tokens[state];
  if (token !== undefined && token.kind !== 'one') reach(tokens, states, state + 1);
}
