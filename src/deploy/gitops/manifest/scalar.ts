import { parseDocument, Scalar } from 'yaml';

/** How a scalar is written now. */
export type ScalarStyle = 'plain' | 'single' | 'double';

/**
 * Writes a text as a scalar, in the style that is there. A plain one is quoted where a reader of YAML 1.1 or 1.2 could take
 * it for something else than a text: `1234e56` is a number, `12:30` one of base 60, `on` is true.
 * @param value printable ASCII: all that references to images are made of
 */
export function writeScalar(value: string, style: ScalarStyle, inFlow: boolean): string {
  if (style === 'single') return `'${value.replaceAll("'", "''")}'`;
  if (style === 'plain' && isSafePlain(value, inFlow)) return value;
  return `"${value.replace(/["\\]/g, String.raw`\$&`)}"`;
}

export function isPrintable(value: string): boolean {
  return /^[\u0020-\u007e]*$/.test(value);
}

/** A number of three parts is a text to every reader; everything else that begins with a digit is quoted. */
const SAFE = /^(?:[A-Za-z][A-Za-z0-9._/@:=+-]*|\d+\.\d+\.\d+(?:[.+-][A-Za-z0-9.+-]*)?)$/;

function isSafePlain(value: string, inFlow: boolean): boolean {
  if (!SAFE.test(value) || value.endsWith(':')) return false;
  if (inFlow && value.includes(':')) return false; // old readers of YAML 1.1 end a plain scalar there
  if (/[/@]/.test(value)) return true; // nothing but a text has one of these: most references
  return (['1.1', '1.2'] as const).every((version) => isText(value, version));
}

function isText(value: string, version: '1.1' | '1.2'): boolean {
  if (/^(?:y|n|yes|no|on|off|true|false|null|nan|inf)$/i.test(value)) return false;
  const { contents, errors } = parseDocument(value, { version, logLevel: 'silent' });
  return errors.length === 0 && contents instanceof Scalar && contents.value === value;
}
