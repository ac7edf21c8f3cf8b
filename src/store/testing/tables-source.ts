import pg from 'pg';

import { connectionOptions } from '../database.ts';

interface Column {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  readonly nullable: boolean;
  readonly identity: boolean;
  readonly filled: boolean;
}

const TYPES: Readonly<Record<string, string>> = {
  text: 'string',
  integer: 'number',
  bigint: 'BigInteger',
  boolean: 'boolean',
  jsonb: 'Json',
  bytea: 'Buffer',
  'timestamp with time zone': 'Timestamp',
  'text[]': 'string[]',
};

/** What `tables.ts` must say of a migrated database; the test beside it compares, and `vitest run ... -u` writes it. */
export async function tablesSource(url: string): Promise<string> {
  const client = new pg.Client(connectionOptions(url));
  await client.connect();
  try {
    const { rows: columns } = await client.query<Column>(`
      select c.relname as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type,
        not a.attnotnull as nullable, a.attidentity = 'a' as identity, a.atthasdef as filled
      from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'towpath' and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
      order by c.relname, a.attnum`);
    const { rows: checks } = await client.query<{ table: string; definition: string }>(`
      select c.relname as table, pg_get_constraintdef(k.oid) as definition
      from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'towpath' and k.contype = 'c'`);
    const words = new Map(
      checks.flatMap(({ table, definition }) => {
        const [, column, list] = /^CHECK \(\((\w+) = ANY \(ARRAY\[([^\]]*)\]\)\)\)$/.exec(definition) ?? [];
        if (column === undefined || list === undefined) return [];
        return [[`${table}.${column}`, [...list.matchAll(/'([^']*)'/g)].map(([, word]) => `'${word}'`)] as const];
      }),
    );
    const tables = [...new Set(columns.map(({ table }) => table))];
    return [
      HEAD,
      `export interface Tables {\n${tables.map((table) => `  ${table}: ${typeName(table)};\n`).join('')}}\n`,
      ...tables.map((table) => tableSource(table, columns, words)),
    ].join('\n');
  } finally {
    await client.end();
  }
}

function tableSource(table: string, columns: readonly Column[], words: ReadonlyMap<string, readonly string[]>): string {
  const lines = columns.filter((column) => column.table === table).map((column) => lineOf(column, words));
  return `export interface ${typeName(table)} {\n${lines.join('')}}\n`;
}

function lineOf(column: Column, words: ReadonlyMap<string, readonly string[]>): string {
  const union = words.get(`${column.table}.${column.column}`);
  const base = union?.join(' | ') ?? TYPES[column.type];
  if (base === undefined) throw new Error(`Say in tables-source.ts what "${column.type}" is in TypeScript.`);
  const whole = column.nullable ? `${base} | null` : base;
  if (column.identity) return `  ${column.column}: GeneratedAlways<number>;\n`;
  const type = column.filled ? `Generated<${whole}>` : whole;
  const line = `  ${column.column}: ${type};\n`;
  return line.length > 121 && union !== undefined ? longUnion(column.column, union, column.filled) : line;
}

/** As the formatter breaks a union that is too long for one line. */
function longUnion(column: string, union: readonly string[], filled: boolean): string {
  const indent = filled ? '      ' : '    ';
  const members = union.map((word) => `${indent}| ${word}`).join('\n');
  return filled ? `  ${column}: Generated<\n${members}\n  >;\n` : `  ${column}:\n${members};\n`;
}

function typeName(table: string): string {
  return `${table.replace(/(^|_)([a-z])/g, (_, __, letter: string) => letter.toUpperCase())}Table`;
}

const HEAD = `// Written from a migrated database by \`npx vitest run src/store/tables.test.ts -u\`; do not edit by hand.
import type { ColumnType, GeneratedAlways } from 'kysely';

/** A column that Postgres fills when an insert does not say it. */
type Generated<T> =
  T extends ColumnType<infer S, infer I, infer U> ? ColumnType<S, I | undefined, U> : ColumnType<T, T | undefined, T>;

/** Read as a \`Date\`. */
type Timestamp = ColumnType<Date, Date | string, Date | string>;

/** Read as a safe number; a \`bigint\` may be written. */
type BigInteger = ColumnType<number, number | bigint, number | bigint>;

/** Read as a parsed value of unknown shape (parse it at the border); written as text, by \`json(...)\`. */
type Json = ColumnType<unknown, string, string>;
`;
