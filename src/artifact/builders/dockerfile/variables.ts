/**
 * Fills in `$NAME`, `${NAME}`, `${NAME:-standard}` and `${NAME:+other}`, as a Dockerfile does.
 * @returns null when a variable without a value decides what is left
 */
export function expandVariables(text: string, variables: ReadonlyMap<string, string>): string | null {
  let known = true;
  const expanded = text.replace(
    /\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\})/g,
    (_, plain?: string, braced?: string, operator?: string, word?: string) => {
      const value = variables.get(plain ?? braced ?? '') ?? '';
      if (operator === '-') return value === '' ? (word ?? '') : value;
      if (operator === '+') return value === '' ? '' : (word ?? '');
      if (value === '') known = false;
      return value;
    },
  );
  return known && expanded !== '' ? expanded : null;
}
