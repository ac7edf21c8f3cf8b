/** No name of an image is as long; variables that are made of variables grow without end. */
const LONGEST = 16_384;

/**
 * Fills in `$NAME`, `${NAME}`, `${NAME:-standard}` and `${NAME:+other}`, as a Dockerfile does.
 * @returns null when a variable without a value decides what is left, and for what is too long to be a name
 */
export function expandVariables(text: string, variables: ReadonlyMap<string, string>): string | null {
  if (text.length > LONGEST) return null;
  let known = true;
  let length = text.length;
  const expanded = text.replace(
    /\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\})/g,
    (_, plain?: string, braced?: string, operator?: string, word?: string) => {
      const value = variables.get(plain ?? braced ?? '') ?? '';
      if ((length += value.length) > LONGEST) return '';
      if (operator === '-') return value === '' ? (word ?? '') : value;
      if (operator === '+') return value === '' ? '' : (word ?? '');
      if (value === '') known = false;
      return value;
    },
  );
  return known && length <= LONGEST && expanded !== '' ? expanded : null;
}
