/** Folders whose folders (or files) are environments, whatever those are called. */
const PARENTS = /^(?:overlays?|envs?|environments?|clusters?|stages)$/i;
/** What lies below such a folder for all environments. */
const SHARED =
  /^(?:base|bases|common|shared|default|defaults|global|components?|templates?|lib|infra|infrastructure)$/i;
/** Each line is one environment under its names. */
const WORDS = [
  ['prod', 'production', 'prd', 'live'],
  ['staging', 'stage', 'stg', 'preprod', 'pre-prod'],
  ['qa'],
  ['acceptance', 'acc', 'uat'],
  ['test', 'testing', 'tst'],
  ['integration', 'int'],
  ['dev', 'development', 'develop'],
  ['demo'],
  ['sandbox', 'sbx'],
  ['canary'],
  ['preview'],
  ['perf', 'load'],
] as const satisfies readonly (readonly string[])[];
const WORD = new Set<string>(WORDS.flat());
/** What tells two environments of one word apart: `prod-eu`, `prod-2`, `prod-us-east-1`. */
const REGION =
  /^(?:eu|us|ap|sa|ca|af|me|uk|de|fr|jp|in|au|emea|apac|[a-z]{2,4}\d{1,2}|\d{1,2}|central|(?:north|south)?(?:east|west)?)$/;
const LONGEST = 40;

/** The environment that a file is of, by its folders and its own name; null where nothing in them says so. */
export function environmentOfFile(file: string): string | null {
  const parts = file.split('/');
  const folders = parts.slice(0, -1);
  const stem = (parts.at(-1) ?? '').replace(/\.[^.]*$/, '');
  const parent = folders.findLastIndex((folder) => PARENTS.test(folder));
  const named = parent < 0 ? undefined : (folders[parent + 1] ?? stem);
  if (named !== undefined && SHARED.test(named)) return null;
  const below = folders.slice(parent + 1).toReversed();
  for (const folder of below) {
    const word = wordIn(folder, true);
    if (word !== null) return folder === named ? nameOf(folder) : word;
  }
  if (named !== undefined) return nameOf(wordIn(named) ?? named);
  if (folders.some((folder) => SHARED.test(folder))) return null;
  return wordIn(stem);
}

/** The environment that a branch is of: `prod`, `env/staging`; null for all others. */
export function environmentOfBranch(branch: string): string | null {
  const below = /^(?:envs?|environments?|deploy(?:ments?)?)\/([^/]+)$/i.exec(branch)?.[1];
  if (below !== undefined) return nameOf(below);
  const word = wordIn(branch);
  return word !== null && word === nameOf(branch) ? word : null;
}

/** The one of these names that means the same, `prod` for `production`; the guess itself where there is none. */
export function knownEnvironment(guess: string, known: readonly string[]): string {
  if (known.includes(guess)) return guess;
  const alike: readonly string[] = WORDS.find((words: readonly string[]) => words.includes(guess)) ?? [];
  return known.find((name) => alike.includes(name)) ?? guess;
}

/**
 * From the first word that means an environment on, as long as what follows tells one from another: `values-prod-eu` -> `prod-eu`.
 * @param atEnd what follows must be nothing else: a folder `live-chat` is no environment
 */
function wordIn(text: string, atEnd = false): string | null {
  const tokens = text.toLowerCase().split(/[-_.]+/);
  for (const [at, token] of tokens.entries()) {
    const pair = `${token}-${tokens[at + 1] ?? ''}`;
    const word = WORD.has(pair) ? pair : WORD.has(token) ? token : null;
    if (word === null) continue;
    const rest = tokens.slice(at + word.split('-').length);
    const other = rest.findIndex((one) => !REGION.test(one));
    if (atEnd && other >= 0) continue;
    return nameOf([word, ...(other < 0 ? rest : rest.slice(0, other))].join('-'));
  }
  return null;
}

/** As names of ours are written; null when nothing is left of it. */
export function nameOf(text: string): string | null {
  const plain = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const name = (/^[a-z]/.test(plain) ? plain : `x-${plain}`).slice(0, LONGEST).replace(/-+$/, '');
  return plain === '' ? null : name;
}
