import { canonicalJson } from '../lib/digest.ts';
import type { KeyInputs } from './key.ts';

/** One reason why two builds have two keys. `before` and `after` are absent where there was, or is, nothing. */
export type KeyDifference =
  | { readonly kind: 'path'; readonly path: string; readonly change: 'added' | 'removed' | 'changed' | 'mode' }
  | { readonly kind: 'builder' | 'platform' | 'kind'; readonly before: string; readonly after: string }
  | { readonly kind: 'definition'; readonly at: string; readonly before?: string; readonly after?: string }
  | {
      readonly kind: 'parent' | 'pin' | 'check';
      readonly name: string;
      readonly before?: string;
      readonly after?: string;
    };

/**
 * What differs between the inputs of two builds; empty exactly when they share a key. `before` belongs to the first.
 * The `unchanged` gate and `why` print it.
 */
export function differenceOf(before: KeyInputs, after: KeyInputs): KeyDifference[] {
  return [
    ...differentWord('kind', before.kind, after.kind),
    ...differentBuilder(before.builder, after.builder),
    ...differentWord('platform', before.platform, after.platform),
    ...differentPaths(before.trees, after.trees),
    ...differentJson(before.definition, after.definition).map((rest) => ({ kind: 'definition', ...rest }) as const),
    ...differentNames('parent', before.parents, after.parents),
    ...differentNames('pin', before.pins, after.pins),
    ...differentNames('check', before.checks, after.checks),
  ];
}

/** One difference as a line for people: `src/server.js changed`, `the pin of node:22 moved`. */
export function describeDifference(difference: KeyDifference): string {
  switch (difference.kind) {
    case 'path':
      return difference.change === 'mode'
        ? `${difference.path} changed its mode`
        : `${difference.path} was ${difference.change}`;
    case 'kind':
    case 'builder':
    case 'platform':
      return `the ${difference.kind} went from ${difference.before} to ${difference.after}`;
    case 'definition':
      return `the build section differs at ${difference.at === '' ? 'its root' : difference.at}: ${fromTo(difference)}`;
    case 'parent':
      return `the base service ${difference.name} was built anew: ${fromTo(difference)}`;
    case 'pin':
      return `the pin of ${difference.name} moved: ${fromTo(difference)}`;
    case 'check':
      return `the check "${difference.name}" of the build, or its tests, ${changeOf(difference)}`;
    default:
      return difference satisfies never;
  }
}

function fromTo({ before, after }: { readonly before?: string; readonly after?: string }): string {
  return `${before ?? 'nothing'} became ${after ?? 'nothing'}`;
}

function changeOf({ before, after }: { readonly before?: string; readonly after?: string }): string {
  if (before === undefined) return 'came';
  return after === undefined ? 'went' : 'changed';
}

function differentWord(kind: 'kind' | 'builder' | 'platform', before: string, after: string): KeyDifference[] {
  return before === after ? [] : [{ kind, before, after }];
}

function differentBuilder(before: KeyInputs['builder'], after: KeyInputs['builder']): KeyDifference[] {
  if (before.name === after.name && before.version === after.version) return [];
  const text = ({ name, version }: KeyInputs['builder']) => `${name} ${version}`;
  return [{ kind: 'builder', before: text(before), after: text(after) }];
}

function differentPaths(before: KeyInputs['trees'], after: KeyInputs['trees']): KeyDifference[] {
  const old = new Map(before.map((entry) => [entry.path, entry]));
  const fresh = new Map(after.map((entry) => [entry.path, entry]));
  return [...new Set([...old.keys(), ...fresh.keys()])].sort().flatMap((path): KeyDifference[] => {
    const [was, is] = [old.get(path), fresh.get(path)];
    if (was === undefined) return [{ kind: 'path', path, change: 'added' }];
    if (is === undefined) return [{ kind: 'path', path, change: 'removed' }];
    if (was.oid !== is.oid) return [{ kind: 'path', path, change: 'changed' }];
    return was.mode === is.mode ? [] : [{ kind: 'path', path, change: 'mode' }];
  });
}

function differentNames(
  kind: 'parent' | 'pin' | 'check',
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): KeyDifference[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names
    .map((name) => ({ name, was: ownValue(before, name), is: ownValue(after, name) }))
    .filter(({ was, is }) => was !== is)
    .map(({ name, was, is }) => ({
      kind,
      name,
      ...(was === undefined ? {} : { before: was }),
      ...(is === undefined ? {} : { after: is }),
    }));
}

interface JsonDifference {
  readonly at: string;
  readonly before?: string;
  readonly after?: string;
}

/** The outermost places where two JSON values differ, as JSON pointers. */
function differentJson(before: unknown, after: unknown, at = ''): JsonDifference[] {
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return names.flatMap((name) =>
      differentJson(
        ownValue(before, name),
        ownValue(after, name),
        `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`,
      ),
    );
  }
  const [was, is] = [textOf(before), textOf(after)];
  if (was === is) return [];
  return [{ at, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }) }];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function ownValue<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function textOf(value: unknown): string | undefined {
  return value === undefined ? undefined : canonicalJson(value);
}
