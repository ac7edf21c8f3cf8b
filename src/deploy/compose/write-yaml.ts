/** Characters that JSON leaves as they are and YAML does not allow in a text. */
const UNPRINTABLE = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** A value for Docker Compose to read: JSON, which is YAML but for a few characters. */
export function yamlOf(value: unknown): string {
  return JSON.stringify(value).replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The same, of texts that mean themselves: no dollar in them begins a variable. */
export function literalYamlOf(value: unknown): string {
  return yamlOf(
    JSON.parse(
      JSON.stringify(value, (_key, held: unknown) => (typeof held === 'string' ? held.replaceAll('$', '$$$$') : held)),
    ),
  );
}
