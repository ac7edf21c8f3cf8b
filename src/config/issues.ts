import type { z } from 'zod';

import { nearestWord } from '../lib/nearest.ts';
import { quote } from './problem.ts';

/** What a schema found wrong, in words, at a path of the parsed value. */
export interface Finding {
  readonly path: readonly PropertyKey[];
  /** Whether the key itself is wrong or what it holds. */
  readonly at: 'key' | 'value';
  readonly what: string;
  readonly expected: string;
  readonly nearest?: string;
  readonly base?: string;
}

type Issue = z.core.$ZodIssue;

/** Give this to `safeParse`: it makes a strict object say which keys it knows, and reports what was found. */
export const reportInput = {
  reportInput: true,
  error: (issue: z.core.$ZodRawIssue): string | undefined =>
    issue.code === 'unrecognized_keys' ? knownKeysOf(issue.inst).join(SEPARATOR) : undefined,
} as const;

/** Says in words what a schema refused; of a choice, only what is wrong with the member that was meant. */
export function findingsOf(issues: readonly Issue[], value: unknown): Finding[] {
  return issues.flatMap((issue) => findingsOfIssue(issue, value, []));
}

const SEPARATOR = ', ';

function findingsOfIssue(issue: Issue, root: unknown, prefix: readonly PropertyKey[]): Finding[] {
  const path = [...prefix, ...issue.path];
  const found = valueAt(root, path);
  const finding = (
    expected: string,
    nearest?: string,
    what = missing(root, path) ?? foundAt(path, found),
  ): Finding[] => [{ path, at: 'value', what, expected, ...(nearest === undefined ? {} : { nearest }) }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const known = issue.message.split(SEPARATOR);
        const nearest = nearestWord(key, known);
        const expected = `one of ${issue.message}`;
        const what = `unknown key ${quote(key)}`;
        return { path: [...path, key], at: 'key', what, expected, ...(nearest === undefined ? {} : { nearest }) };
      });
    case 'invalid_union': {
      if (issue.errors.length === 0) return finding('another value');
      const meant = issue.errors.toSorted((one, other) => distanceOf(one) - distanceOf(other))[0] ?? [];
      const wrongType = issue.errors.every((branch) => branch.some((inner) => isWrongType(inner)));
      if (wrongType) return finding(orOf(issue.errors.flat().filter((inner) => isWrongType(inner))));
      return meant.flatMap((inner) => findingsOfIssue(inner, root, path));
    }
    case 'invalid_value': {
      const words = issue.values.map(String);
      const nearest = typeof found === 'string' ? nearestWord(found, words) : undefined;
      return finding(words.length === 1 ? quote(words[0]) : `one of ${words.join(', ')}`, nearest);
    }
    case 'invalid_key': {
      const expected = issue.issues.map((inner) => ownWords(inner)).join(' and ');
      return [{ path, at: 'key', what: `the key ${quote(path.at(-1))} is not allowed`, expected }];
    }
    case 'invalid_element':
      return issue.issues.flatMap((inner) => findingsOfIssue(inner, root, path));
    default:
      return finding(ownWords(issue));
  }
}

/** Our own messages are phrases that follow "expected"; those that zod makes are put into such a phrase. */
function ownWords(issue: Issue): string {
  if (!/^(Invalid|Too (small|big)|Unrecognized)/.test(issue.message)) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'too_small':
      return `at least ${String(issue.minimum)}${unitOf(issue.origin)}`;
    case 'too_big':
      return `at most ${String(issue.maximum)}${unitOf(issue.origin)}`;
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_format':
      return issue.pattern === undefined ? `a valid ${issue.format}` : `a text like ${issue.pattern}`;
    default:
      return 'another value';
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  nonoptional: 'a value',
};

function unitOf(origin: string): string {
  return origin === 'string' ? ' characters' : origin === 'array' ? ' items' : '';
}

function orOf(issues: readonly Issue[]): string {
  return [
    ...new Set(issues.map((issue) => (issue.code === 'invalid_value' ? issue.values.join(', ') : ownWords(issue)))),
  ].join(' or ');
}

/** How far a member of a choice is from what was written: of the wrong type far, then by the number of things wrong. */
function distanceOf(issues: readonly Issue[]): number {
  return issues.reduce((sum, issue) => sum + (isWrongType(issue) ? 1000 : 1) * weightOf(issue), 0);
}

function weightOf(issue: Issue): number {
  if (issue.code === 'unrecognized_keys') return 2 * issue.keys.length;
  return issue.code === 'invalid_type' && issue.input === undefined ? 3 : 1;
}

function isWrongType(issue: Issue): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === 'invalid_value') return typeof issue.input !== 'string';
  return (
    issue.code === 'invalid_type' ||
    (issue.code === 'invalid_union' && issue.errors.every((inner) => inner.some(isWrongType)))
  );
}

/** What stands where a reference to a secret should be may be the secret itself: it is never shown, nor is who logs in by a URL. */
function foundAt(path: readonly PropertyKey[], value: unknown): string {
  const isSecret = path[0] === 'environments' && path[2] === 'secrets';
  if (isSecret) return 'found something else';
  return `found ${quote(typeof value === 'string' ? value.replace(/(:\/\/)[^/\s]*@/g, '$1***@') : value)}`;
}

function missing(root: unknown, path: readonly PropertyKey[]): string | undefined {
  const key = path.at(-1);
  const holder = valueAt(root, path.slice(0, -1));
  const isMissing =
    typeof key === 'string' && typeof holder === 'object' && holder !== null && !Object.hasOwn(holder, key);
  return isMissing ? `${quote(key)} is missing` : undefined;
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

function knownKeysOf(schema: unknown): string[] {
  const shape = (schema as { _zod?: { def?: { shape?: object } } } | undefined)?._zod?.def?.shape;
  return Object.keys(shape ?? {});
}
