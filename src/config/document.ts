import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  Parser,
  type CST,
  type YAMLError,
} from 'yaml';

import { isSoundText } from '../lib/sound-text.ts';
import { type Position, positionOf } from './position.ts';
import { ConfigError, type ConfigProblem, formatPath, quote } from './problem.ts';

/** A thousand services with their checks fit; what does not is made to exhaust the reader. */
export const LIMITS = { bytes: 512 * 1024, depth: 24, nodes: 50_000, aliases: 100, characters: 1024 * 1024 } as const;

/** A file that is YAML, within the limits, as plain JSON values; nothing is known yet of its meaning. */
export interface ConfigDocument {
  readonly value: unknown;
  positionOf(path: readonly PropertyKey[], at?: 'value' | 'key'): Position;
}

/**
 * YAML 1.2 core schema: `on` is a word, no tags, no merge keys, no second document, no doubled key.
 * @throws ConfigError for all that cannot be read; nothing else
 */
export function parseConfigDocument(source: string | Uint8Array, file: string): ConfigDocument {
  const fail = (position: Position, what: string, expected: string, path = ''): never => {
    throw new ConfigError(file, [{ ...position, path, what, expected }]);
  };
  const start = { line: 1, column: 1 };
  const text = textOf(source) ?? fail(start, 'it is not UTF-8 text', 'UTF-8');
  if (Buffer.byteLength(text) > LIMITS.bytes)
    fail(start, `the file has more than ${LIMITS.bytes / 1024} kB`, 'a smaller file');

  const lines = new LineCounter();
  const deep = tooDeep(text);
  if (deep !== undefined) fail(deep, 'it is nested too deep', `at most ${LIMITS.depth} levels`);
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    strict: true,
    stringKeys: true,
    uniqueKeys: true,
    merge: false,
    prettyErrors: false,
    logLevel: 'error', // 'silent' is silent about a second document too
    lineCounter: lines,
  });
  const mistakes = [...document.errors, ...document.warnings].map((error): Mistake => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { line: Math.max(1, line), column: Math.max(1, col), error };
  });
  const own = withoutFollowing(text, mistakes);
  const problems = own.map(({ error, ...where }): ConfigProblem => ({
    ...where,
    path: '',
    ...wordsFor(error, text.slice(error.pos[0], error.pos[0] + 100)),
  }));
  if (problems.length > 0) throw new ConfigError(file, problems);

  const budget = { ...LIMITS };
  const value = valueOf(document, document.contents, [], budget, (path, what, expected) =>
    fail(positionOf(document, lines, path), what, expected, formatPath(path)),
  );
  return { value, positionOf: (path, at) => positionOf(document, lines, path, at) };
}

interface Mistake extends Position {
  readonly error: YAMLError;
}

/** Mistakes after which the reader knows all the same what the lines below are. */
const HARMLESS = new Set<string>(['DUPLICATE_KEY', 'TAG_RESOLVE_FAILED', 'BAD_ALIAS']);

/** What the reader makes of the rest of a line after its first mistake, and of the lines that stand below it, helps nobody. */
function withoutFollowing(text: string, mistakes: readonly Mistake[]): Mistake[] {
  const lines = text.split('\n');
  const own: Mistake[] = [];
  let below = 0; // the line up to which all stands below the last of `own`
  for (const mistake of mistakes) {
    const last = own.at(-1);
    if (last !== undefined && !HARMLESS.has(last.error.code)) {
      while (below < mistake.line && isBelow(lines[below], last.column)) below += 1;
    }
    if (last !== undefined && mistake.line <= below) continue;
    own.push(mistake);
    below = mistake.line;
  }
  return own;
}

function isBelow(line: string | undefined, column: number): boolean {
  return line === undefined || line.trim() === '' || line.search(/\S/) >= column;
}

function wordsFor({ code, message }: YAMLError, rest: string): Pick<ConfigProblem, 'what' | 'expected'> {
  switch (code) {
    case 'DUPLICATE_KEY':
      return {
        what: `the key ${quote(/^[^\s:]+/.exec(rest)?.[0] ?? rest)} stands there twice`,
        expected: 'each key once',
      };
    case 'TAG_RESOLVE_FAILED':
      return { what: firstLine(message), expected: 'a plain value, without a tag' };
    case 'TAB_AS_INDENT':
      return { what: firstLine(message), expected: 'spaces' };
    case 'MULTILINE_IMPLICIT_KEY':
      return {
        what: `${quote(firstLine(rest.trim()))} is no key with a value`,
        expected: 'a colon and a space after a key',
      };
    case 'MULTIPLE_DOCS':
      return { what: 'a second document begins there', expected: 'one document, without `---` in the middle' };
    case 'BAD_ALIAS':
      return { what: firstLine(message), expected: 'quotes around a text that begins with * or &' };
    default:
      return { what: firstLine(message), expected: 'YAML 1.2' };
  }
}

const SOUND = 'Unicode characters other than NUL';

type Budget = { -readonly [name in keyof typeof LIMITS]: number };
type Fail = (path: readonly PropertyKey[], what: string, expected: string) => never;

/** Counts every node as often as it is reached, so that aliases of aliases end at the budget and not in memory. */
function valueOf(document: Document, node: unknown, path: readonly PropertyKey[], budget: Budget, fail: Fail): unknown {
  if (--budget.nodes < 0)
    fail(path, 'it holds too many values', `at most ${LIMITS.nodes}, aliases counted as often as used`);
  if (path.length > LIMITS.depth) fail(path, 'it is nested too deep', `at most ${LIMITS.depth} levels`);
  if (isAlias(node)) {
    if (--budget.aliases < 0) fail(path, 'it uses too many aliases', `at most ${LIMITS.aliases}`);
    const meant =
      node.resolve(document) ?? fail(path, `the alias *${node.source} names nothing`, 'an anchor before it');
    return valueOf(document, meant, path, budget, fail);
  }
  if (isSeq(node)) return node.items.map((item, index) => valueOf(document, item, [...path, index], budget, fail));
  if (isMap(node)) {
    const value: Record<string, unknown> = {};
    for (const { key, value: held } of node.items) {
      const name = isScalar(key) && typeof key.value === 'string' ? key.value : undefined;
      if (name === undefined) return fail(path, 'a key is not a text', 'plain words as keys');
      if (name === '__proto__') return fail([...path, name], 'a key is called "__proto__"', 'another name');
      if (!isSoundText(name)) return fail(path, 'a key holds a NUL or half a character', SOUND);
      value[name] = valueOf(document, held, [...path, name], budget, fail);
    }
    return value;
  }
  if (isScalar(node)) {
    const { value } = node;
    if (typeof value === 'string' && (budget.characters -= value.length) < 0)
      fail(path, 'it holds too much text', 'less, aliases counted as often as used');
    if (typeof value === 'string' && !isSoundText(value)) fail(path, 'it holds a NUL or half a character', SOUND);
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    return fail(path, 'it is not a plain value', 'a text, a finite number, a truth value, a list or a mapping');
  }
  return null;
}

/** Reads the tokens only, without recursion: the composer would recurse as deep as the file says. */
function tooDeep(text: string): Position | undefined {
  const lines = new LineCounter();
  for (const token of new Parser(lines.addNewLine).parse(text)) {
    const open: { token: CST.Token; depth: number }[] = [{ token, depth: 0 }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next.depth > LIMITS.depth + 2) {
        const { line, col } = lines.linePos('offset' in next.token ? next.token.offset : 0);
        return { line: Math.max(1, line), column: Math.max(1, col) };
      }
      for (const child of childrenOf(next.token)) open.push({ token: child, depth: next.depth + 1 });
    }
  }
  return undefined;
}

function childrenOf(token: CST.Token): readonly CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value];
  if (!('items' in token)) return [];
  return token.items.flatMap((item) => [item.key, item.value].filter((held) => held !== undefined && held !== null));
}

function textOf(source: string | Uint8Array): string | undefined {
  if (typeof source === 'string') return source;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(source);
  } catch {
    return undefined;
  }
}

function firstLine(message: string): string {
  const line = message.split('\n', 1)[0] ?? message;
  return line.replace(/[:.]\s*$/, '').slice(0, 200);
}
