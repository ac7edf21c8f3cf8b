/**
 * Splits a command line into the argument array that it means: words, single and double quotes, backslashes. What only
 * a shell could do (`|`, `&&`, `$HOME`, `*`, redirection) is not understood but refused, for no shell will run.
 * @returns a phrase that says what is wrong, where the line is not a plain command
 */
export function parseArgv(line: string): { readonly argv: readonly string[] } | { readonly wrong: string } {
  const argv: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === ' ' || char === '\t' || char === '\n') {
      if (word !== undefined) argv.push(word);
      word = undefined;
    } else if (char === "'") {
      const end = line.indexOf("'", at + 1);
      if (end < 0) return { wrong: 'a quote is not closed' };
      word = (word ?? '') + line.slice(at + 1, end);
      at = end;
    } else if (char === '"') {
      const quoted = doubleQuoted(line, at + 1);
      if (quoted === undefined) return { wrong: 'a quote is not closed' };
      if (quoted.shell !== undefined) return { wrong: `\`${quoted.shell}\` needs a shell` };
      word = (word ?? '') + quoted.text;
      at = quoted.end;
    } else if (char === '\\') {
      if (at + 1 >= line.length) return { wrong: 'it ends with a backslash' };
      word = (word ?? '') + line.charAt(++at);
    } else if (SHELL.test(char)) {
      return { wrong: `\`${char}\` needs a shell` };
    } else {
      word = (word ?? '') + char;
    }
  }
  if (word !== undefined) argv.push(word);
  return argv.length === 0 || argv[0] === '' ? { wrong: 'it names no program' } : { argv };
}

const SHELL = /[|&;<>()$`*?[\]{}~#!]/;

function doubleQuoted(line: string, start: number): { text: string; end: number; shell?: string } | undefined {
  let text = '';
  for (let at = start; at < line.length; at++) {
    const char = line.charAt(at);
    if (char === '"') return { text, end: at };
    if (char === '$' || char === '`') return { text, end: at, shell: char };
    if (char === '\\' && '"\\$`'.includes(line.charAt(at + 1)) && at + 1 < line.length) text += line.charAt(++at);
    else text += char;
  }
  return undefined;
}
