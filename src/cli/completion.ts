import { usage } from './cli-error.ts';
import { wordsFor } from './complete.ts';
import { EXIT } from './exit.ts';
import type { Verb } from './verb.ts';

/**
 * The shells know nothing of Towpath: they hand over the words so far and show what comes back, one candidate a line,
 * with its description after a tab. What a word may be is asked of the running program and server, never generated.
 */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_towpath() {
  local IFS=$'\\n'
  COMPREPLY=($(towpath complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _towpath towpath`,
  zsh: `#compdef towpath
_towpath() {
  local -a found
  found=("\${(@f)$(towpath complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null | awk -F '\\t' '{ gsub(/:/, "\\\\:", $1); print $1 (NF > 1 ? ":" $2 : "") }')}")
  _describe 'towpath' found
}
compdef _towpath towpath`,
  fish: `complete -c towpath -f -a '(towpath complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'`,
};

export const completion: Verb = (program, run) => {
  program
    .command('completion')
    .description('print the completion script of a shell')
    .argument('<shell>', Object.keys(SCRIPTS).join(', '))
    .addHelpText('after', '\nbash: source <(towpath completion bash)')
    .action(
      run(async ({ out }, _options, shell = '') => {
        const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
        if (script === undefined)
          throw usage(`There is no script for "${shell}".`, `Choose among ${Object.keys(SCRIPTS).join(', ')}.`);
        out.text(script);
        return EXIT.ok;
      }),
    );

  program
    .command('complete', { hidden: true })
    .description('print candidates for the last of these words')
    .argument('[words...]')
    .action(
      run(async (context, _options, ...words) => {
        for (const { word, about } of await wordsFor(
          program,
          words.filter((word) => word !== undefined),
          context,
        ))
          context.out.text(about === '' ? word : `${word}\t${about}`);
        return EXIT.ok;
      }),
    );
};
