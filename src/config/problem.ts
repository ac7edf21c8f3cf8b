import { TowpathError } from '../lib/error.ts';

/** One thing that is wrong in towpath.yaml, where it stands, and what was expected in its place. */
export interface ConfigProblem {
  readonly line: number;
  readonly column: number;
  /** Such as `environments.prod.gates[0]`; empty for the file as a whole. */
  readonly path: string;
  readonly what: string;
  readonly expected: string;
  /** The valid word that was probably meant. */
  readonly nearest?: string;
  /** The base service that is missed: another repository of the project may have it. */
  readonly base?: string;
}

/** `config.invalid`; `problems` is never empty and stands in the order of the file. */
export class ConfigError extends TowpathError {
  readonly file: string;
  readonly problems: readonly ConfigProblem[];

  constructor(file: string, problems: readonly ConfigProblem[]) {
    const shown = problems.slice(0, 20).map((problem) => formatProblem(file, problem));
    const more = problems.length > shown.length ? [`and ${problems.length - shown.length} more`] : [];
    super({
      code: 'config.invalid',
      what: [...shown, ...more].join('\n'),
      fix: `Correct ${file}; docs/guide/configuration.md names every key.`,
    });
    this.file = file;
    this.problems = problems;
  }
}

/** One line that editors and terminals can follow: `towpath.yaml:7:5: services.web: unknown key "biuld"; expected ...`. */
export function formatProblem(file: string, problem: ConfigProblem): string {
  const { line, column, path, what, expected, nearest } = problem;
  const meant = nearest === undefined ? '' : ` (did you mean "${nearest}"?)`;
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${what}; expected ${expected}${meant}`;
}

export function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? String(part) : `.${String(part)}`))
    .join('');
}

/** A value as a message may show it: short, on one line. */
export function quote(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
