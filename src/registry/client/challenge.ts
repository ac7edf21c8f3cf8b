/** What a registry wants, as `WWW-Authenticate` says it. */
export interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  readonly realm: string | null;
  readonly service: string | null;
  readonly scope: string | null;
}

/**
 * Reads `WWW-Authenticate`. Of several challenges the one for a token, as docker takes it: it also opens what is public.
 * @returns null when it holds none that we know
 */
export function parseChallenge(text: string): Challenge | null {
  const unquoted = text.replace(/"(?:[^"\\]|\\.)*"/g, (quoted) => `"${' '.repeat(quoted.length - 2)}"`);
  const start = /(?:^|,\s*)(bearer)(?=\s|,|$)/i.exec(unquoted) ?? /(?:^|,\s*)(basic)(?=\s|,|$)/i.exec(unquoted);
  if (start === null) return null;
  const fields = new Map<string, string>();
  const field = /[\s,]*([a-zA-Z][a-zA-Z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y;
  field.lastIndex = start.index + start[0].length;
  for (let found = field.exec(text); found !== null; found = field.exec(text)) {
    const [, name = '', quoted, bare = ''] = found;
    fields.set(name.toLowerCase(), quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'));
  }
  return {
    scheme: start[1]?.toLowerCase() === 'basic' ? 'basic' : 'bearer',
    realm: fields.get('realm') ?? null,
    service: fields.get('service') ?? null,
    scope: fields.get('scope') ?? null,
  };
}
