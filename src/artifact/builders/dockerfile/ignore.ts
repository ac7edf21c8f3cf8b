import { ArtifactError } from '../../artifact-error.ts';

/** Whether a path of the build context stays out of it. @throws ArtifactError `artifact.dockerignore-slow` */
export type Ignores = (path: string) => boolean;

/** Half a minute of work: a hundred plain patterns for a hundred thousand files are a tenth of it. */
const MOST_STEPS = 300_000_000;

/**
 * Reads a `.dockerignore`. As in Docker: the last pattern that fits decides, `!` brings back, `**` spans folders, and a
 * pattern that fits a folder fits all in it.
 */
export function parseIgnore(text: string, mostSteps = MOST_STEPS): Ignores {
  const rules = text
    .split(/\r?\n/)
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.trim())
    .filter((line) => line !== '' && line !== '!')
    .map((line) => {
      const negative = line.startsWith('!');
      return { negative, pattern: cleaned(negative ? line.slice(1).trim() : line) };
    })
    .filter(({ pattern }) => pattern !== '') // `.` and `/` say nothing, as in Docker
    .map(({ negative, pattern }) => ({ negative, tokens: tokensOf(Array.from(pattern)) }));
  const budget = { steps: mostSteps };
  return (path) => {
    let ignored = false;
    for (const { negative, tokens } of rules) {
      if (ignored === negative && fits(tokens, path, budget)) ignored = !negative;
      if (budget.steps < 0) throw slow();
    }
    return ignored;
  };
}

function cleaned(pattern: string): string {
  const parts: string[] = [];
  for (const part of pattern.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0) parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

/**
 * Patterns come from whoever may push, so they are not made into regular expressions: those can be written to take for
 * ever. Following all states at once takes time in proportion to pattern and path; and there is a limit for all together.
 */
type Token =
  | { readonly kind: 'one' | 'many'; readonly fits: (character: string) => boolean }
  /** `**` and a slash: nothing at all, or whatever ends with a slash (the token after it). */
  | { readonly kind: 'maybe-folders' | 'folders' };

function tokensOf(pattern: readonly string[]): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? '';
    if (character === '*' && pattern[at + 1] === '*') {
      if (pattern[at + 2] === '/') tokens.push({ kind: 'maybe-folders' }, { kind: 'folders' });
      else tokens.push({ kind: 'many', fits: () => true });
      at += pattern[at + 2] === '/' ? 2 : 1;
    } else if (character === '*') tokens.push({ kind: 'many', fits: isNotSlash });
    else if (character === '?') tokens.push({ kind: 'one', fits: isNotSlash });
    else if (character === '[' && pattern.includes(']', at + 2)) {
      const end = pattern.indexOf(']', at + 2);
      tokens.push({ kind: 'one', fits: classOf(pattern.slice(at + 1, end)) });
      at = end;
    } else {
      const literal = character === '\\' && at + 1 < pattern.length ? (pattern[++at] ?? '') : character;
      tokens.push({ kind: 'one', fits: (other) => other === literal });
    }
  }
  return tokens;
}

/** True when the pattern fits the path, or a folder that the path lies in. */
function fits(tokens: readonly Token[], path: string, budget: { steps: number }): boolean {
  let states = new Set<number>();
  const enter = (into: Set<number>, state: number): void => {
    if (into.has(state)) return;
    into.add(state);
    const kind = tokens[state]?.kind;
    if (kind === 'many' || kind === 'maybe-folders') enter(into, state + 1);
    if (kind === 'maybe-folders') enter(into, state + 2);
  };
  enter(states, 0);
  for (const character of path) {
    if (character === '/' && states.has(tokens.length)) return true;
    budget.steps -= states.size + 1;
    if (states.size === 0 || budget.steps < 0) return false;
    const next = new Set<number>();
    for (const state of states) {
      const token = tokens[state];
      if (token?.kind === 'folders') enter(next, state);
      if (token?.kind === 'folders' && character === '/') enter(next, state + 1);
      if (token?.kind === 'many' && token.fits(character)) enter(next, state);
      if (token?.kind === 'one' && token.fits(character)) enter(next, state + 1);
    }
    states = next;
  }
  return states.has(tokens.length);
}

function isNotSlash(character: string): boolean {
  return character !== '/';
}

/** `[a-z]`, `[^a-z]`: one character that is (not) among these; never a slash. */
function classOf(members: readonly string[]): (character: string) => boolean {
  const negative = members[0] === '^';
  const ranges: [string, string][] = [];
  for (let at = negative ? 1 : 0; at < members.length; at++) {
    const from = members[at] ?? '';
    const isRange = members[at + 1] === '-' && at + 2 < members.length;
    ranges.push([from, isRange ? (members[at + 2] ?? '') : from]);
    if (isRange) at += 2;
  }
  return (character) =>
    isNotSlash(character) && negative !== ranges.some(([from, to]) => character >= from && character <= to);
}

function slow(): ArtifactError {
  return new ArtifactError({
    code: 'artifact.dockerignore-slow',
    what: '.dockerignore has so many patterns for so many files that they take too long to compare.',
    fix: 'Name whole folders, and leave out `**/` where a pattern can begin at the root.',
  });
}
