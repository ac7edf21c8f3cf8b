import { type Document, parseDocument, visit } from 'yaml';

import { isSoundText } from '../../lib/sound-text.ts';
import { notYaml } from './compose-error.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type JsonMap = { readonly [name: string]: Json };

/** Far beyond what people keep; what is larger is generated, or made to exhaust the reader. Aliases count as often as used. */
export const LIMITS = { bytes: 512 * 1024, depth: 24, values: 50_000, characters: 1024 * 1024, aliases: 200 } as const;

/**
 * A compose file as plain values: anchors and merge keys are followed here, within limits, so that whoever reads on sees exactly
 * what was checked.
 * @throws DeployError `compose.not-yaml`
 */
export function readYaml(bytes: Uint8Array, file: string): JsonMap {
  if (bytes.length > LIMITS.bytes) throw notYaml(file, `it has more than ${LIMITS.bytes / 1024} kB`);
  const value = plain(valueOf(bytes, file), file, { values: LIMITS.values, characters: LIMITS.characters }, 0);
  if (isMap(value)) return value;
  throw notYaml(file, 'it is no mapping');
}

export function isMap(value: Json | undefined): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function valueOf(bytes: Uint8Array, file: string): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const document = parseDocument(text, {
      version: '1.2',
      merge: true,
      strict: true,
      stringKeys: true,
      uniqueKeys: true,
      prettyErrors: false,
      logLevel: 'error', // at a lower one a second document is left out without a word
    });
    const [problem] = [...document.errors, ...document.warnings];
    if (problem === undefined) {
      keepLeadingZeros(document);
      return document.toJS({ maxAliasCount: LIMITS.aliases });
    }
    if (/call stack/.test(problem.message)) throw notYaml(file, 'it is nested too deep');
    const line = text.slice(0, problem.pos[0]).split('\n').length;
    throw notYaml(file, `line ${line}: ${(problem.message.split('\n')[0] ?? '').slice(0, 200)}`);
  } catch (error) {
    if (error instanceof RangeError) throw notYaml(file, 'it is nested too deep');
    if (error instanceof ReferenceError) {
      throw notYaml(
        file,
        /Excessive/.test(error.message) ? 'it uses too many aliases' : 'an alias in it names nothing',
      );
    }
    if (error instanceof TypeError) throw notYaml(file, 'it is not UTF-8');
    throw error;
  }
}

/** `0440` is octal to Docker's reader, and not to ours; as a text both read it alike. */
function keepLeadingZeros(document: Document.Parsed): void {
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === 'number' && /^[-+]?0[0-9]/.test(node.source ?? '')) node.value = node.source;
    },
  });
}

/** Counts each value as often as it is reached. */
function plain(value: unknown, file: string, budget: { values: number; characters: number }, depth: number): Json {
  if (--budget.values < 0)
    throw notYaml(file, `it holds more than ${LIMITS.values} values, aliases counted as often as used`);
  if (depth > LIMITS.depth) throw notYaml(file, 'it is nested too deep');
  if (Array.isArray(value)) return value.map((item) => plain(item, file, budget, depth + 1));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, held]) => {
        if (name === '__proto__' || !isSoundText(name)) throw notYaml(file, 'it has a key that is no plain word');
        return [name, plain(held, file, budget, depth + 1)];
      }),
    );
  }
  if (typeof value === 'string') {
    if ((budget.characters -= value.length) < 0) throw notYaml(file, 'it holds too much text');
    if (!isSoundText(value)) throw notYaml(file, 'it holds a NUL or half a character');
    return value;
  }
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw notYaml(file, 'it holds something that is no plain value');
}
