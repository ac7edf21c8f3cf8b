/** `missing` is worth knowing, `broken` keeps Towpath from working. */
export interface Finding {
  readonly part: string;
  readonly state: 'good' | 'missing' | 'broken';
  readonly what: string;
  readonly fix: string | null;
}

export function good(part: string, what: string): Finding {
  return { part, state: 'good', what, fix: null };
}

export function missing(part: string, what: string, fix: string): Finding {
  return { part, state: 'missing', what, fix };
}

export function broken(part: string, what: string, fix: string): Finding {
  return { part, state: 'broken', what, fix };
}
