import { readFileSync } from 'node:fs';

import fc from 'fast-check';

/** A request as a stranger may send it: its form is that of `openapi.json`, or nearly, and its words are anything. */
export interface AnyRequest {
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly body: string | null;
}

interface Schema {
  readonly $ref?: string;
  readonly anyOf?: readonly Schema[];
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly minLength?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
  readonly minItems?: number;
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface OpenApiOperation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> };
}

const openapi = JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')) as OpenApi;

const WORDS = [
  '..',
  '%00',
  '\0',
  'a\0b',
  '\ud800',
  '\u202e',
  '__proto__',
  'constructor',
  "'; drop table event; --",
  '${branch.slug}',
  '$(id)',
  '--upload-pack=touch x',
  'ext::sh -c id',
  'file:///etc/passwd',
  'http://user:secret@127.0.0.1:1/x',
  'env:PATH',
  'file:/etc/passwd',
  '#999999999999999999999',
  '-1',
  '1e999',
  'NaN',
  '9'.repeat(300),
  'ß'.repeat(300),
];

/** @param known words that lead to something on the server, so that a request gets past the first door */
export function anyRequest(known: Readonly<Record<string, string>>): fc.Arbitrary<AnyRequest> {
  const names = Object.values(known);
  const word = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...names) },
    { weight: 3, arbitrary: fc.constantFrom(...WORDS) },
    { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  );
  const calls = Object.entries(openapi.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => anyCall(method, path, operation, known, word)),
  );
  return fc.oneof(...calls);
}

function anyCall(
  method: string,
  path: string,
  { operationId, parameters = [], requestBody }: OpenApiOperation,
  known: Readonly<Record<string, string>>,
  word: fc.Arbitrary<string>,
): fc.Arbitrary<AnyRequest> {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const parts = fc.tuple(
    ...inPath.map((name) =>
      fc.oneof({ weight: 3, arbitrary: fc.constant(known[name] ?? 'x') }, { weight: 1, arbitrary: word }),
    ),
  );
  const query = fc.record(
    Object.fromEntries(parameters.filter((one) => one.in === 'query').map(({ name }) => [name, word])),
    { requiredKeys: [] },
  );
  const schema = Object.values(requestBody?.content ?? {})[0]?.schema;
  const body =
    schema === undefined
      ? fc.constant(null)
      : fc.oneof(
          { weight: 6, arbitrary: valueOf(schema, word).map((value) => JSON.stringify(value)) },
          { weight: 1, arbitrary: fc.json({ maxDepth: 4 }) },
          { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
          { weight: 1, arbitrary: fc.constant(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) },
        );
  return fc.tuple(parts, query, body).map(([values, asked, text]) => {
    let at = 0;
    const filled = path.replace(/\{\w+\}/g, () => segmentOf(values[at++] ?? ''));
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(asked)) if (value !== undefined) search.set(name, value.toWellFormed());
    return { operation: operationId, method: method.toUpperCase(), path: `${filled}?${search.toString()}`, body: text };
  });
}

function valueOf(schema: Schema, word: fc.Arbitrary<string>): fc.Arbitrary<unknown> {
  const { $ref, anyOf, type, properties, required = [], additionalProperties, items } = schema;
  if ($ref !== undefined) return valueOf(openapi.components.schemas[$ref.split('/').at(-1) ?? ''] ?? {}, word);
  if (anyOf !== undefined) return fc.oneof(...anyOf.map((one) => valueOf(one, word)));
  if (schema.enum !== undefined) return fc.oneof(fc.constantFrom(...schema.enum), word);
  if (type === 'string') return schema.minLength === undefined ? word : word.map((text) => text || 'x');
  if (type === 'boolean') return fc.boolean();
  if (type === 'integer' || type === 'number') return fc.oneof(fc.integer(), fc.double(), fc.constantFrom(0, 1, 60));
  if (type === 'array') return fc.array(valueOf(items ?? {}, word), { minLength: schema.minItems ?? 0, maxLength: 4 });
  if (type === 'null') return fc.constant(null);
  if (type !== 'object') return fc.jsonValue({ maxDepth: 2 });
  if (properties !== undefined)
    return fc.record(Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, valueOf(one, word)])), {
      requiredKeys: [...required],
    });
  return fc.dictionary(word, valueOf(additionalProperties || {}, word), { maxKeys: 4 });
}

/** One part of a path; what is not well-formed Unicode comes as bytes that are not UTF-8. */
function segmentOf(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) || '%20' : '%ff%fe';
}
