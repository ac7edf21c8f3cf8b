const MASK = '[secret]';

/** Shorter values are not looked for: they would blacken half of every log and protect nothing. */
const MIN_LENGTH = 6;

export interface Redactor {
  /** Takes the next piece of a stream; gives back what is safe to show by now. A value may be split over pieces. */
  push(chunk: string): string;
  /** The rest, at the end of the stream. */
  end(): string;
}

/** Blackens values wherever they stand in a text: as they are, in base64 (any alignment), URL-encoded, as JSON, in hex. */
export function redact(text: string, values: Iterable<string>): string {
  return mask(text, formsOf(values));
}

/** The same over a stream: holds back only as much as could still be the begin of a value. */
export function redactor(values: Iterable<string>): Redactor {
  const forms = formsOf(values);
  let held = '';
  return {
    push: (chunk) => {
      const text = mask(held + chunk, forms);
      const keep = openEnd(text, forms);
      held = text.slice(text.length - keep);
      return text.slice(0, text.length - keep);
    },
    end: () => {
      const rest = mask(held, forms);
      held = '';
      return rest;
    },
  };
}

/** All shapes in which a value might show, longest first, so that no part of a longer one is left over. */
function formsOf(values: Iterable<string>): string[] {
  const forms = new Set<string>();
  for (const value of values) {
    for (const text of [value, ...value.split(/\r?\n/)]) {
      if (text.length < MIN_LENGTH) continue;
      const bytes = Buffer.from(text, 'utf8');
      const url = encodeURIComponent(text);
      for (const form of [
        text,
        JSON.stringify(text).slice(1, -1),
        url,
        url.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
        new URLSearchParams([['', text]]).toString().slice(1),
        bytes.toString('hex'),
        bytes.toString('hex').toUpperCase(),
        ...base64Forms(bytes),
      ]) {
        if (form.length >= MIN_LENGTH) forms.add(form);
      }
    }
  }
  return [...forms].sort((a, b) => b.length - a.length);
}

/** A value inside a longer base64 text starts at one of three alignments; only its inner characters are then its own. */
function base64Forms(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const from = shift === 0 ? 0 : shift + 1;
    const to = (shift + bytes.length) % 3 === 0 ? text.length : text.length - 1;
    const inner = text.slice(from, to);
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

function mask(text: string, forms: readonly string[]): string {
  return forms.reduce((masked, form) => masked.replaceAll(form, MASK), text);
}

/** How many characters at the end could be the begin of some form. */
function openEnd(text: string, forms: readonly string[]): number {
  const longest = Math.min(text.length, (forms[0]?.length ?? 1) - 1);
  for (let keep = longest; keep > 0; keep--) {
    const end = text.slice(text.length - keep);
    if (forms.some((form) => form.length > keep && form.startsWith(end))) return keep;
  }
  return 0;
}
