import { TowpathError } from '../lib/error.ts';
import { nearestWord } from '../lib/nearest.ts';

/** What the placeholders of a configuration value may stand for. What is not known is null. */
export interface Variables {
  readonly branch: { readonly name: string; readonly slug: string } | null;
  readonly environment: { readonly name: string };
  readonly release: { readonly commit: string; readonly tag: string | null };
}

export class VariableError extends TowpathError {}

const VALUES = {
  'branch.slug': ({ branch }: Variables) => branch?.slug,
  'branch.name': ({ branch }: Variables) => branch?.name,
  'environment.name': ({ environment }: Variables) => environment.name,
  'release.commit': ({ release }: Variables) => release.commit,
  'release.tag': ({ release }: Variables) => release.tag,
} as const;

/** All there are; no expression language. */
export const PLACEHOLDERS: readonly string[] = Object.keys(VALUES);

/** Each `${...}` of the text. `wrong` is a phrase that follows "expected", for one that nobody knows. */
export function placeholdersOf(text: string): readonly { readonly name: string; readonly wrong?: string }[] {
  return [...text.matchAll(/\$\{([^}]*)(\}?)/g)].map(([, name = '', end]) => {
    if (end === '') return { name, wrong: 'a `}` after `${`' };
    if (isPlaceholder(name)) return { name };
    const nearest = nearestWord(name, PLACEHOLDERS);
    const meant = nearest === undefined ? '' : `; nearest is \${${nearest}}`;
    return { name, wrong: `a placeholder out of ${PLACEHOLDERS.join(', ')} in place of \${${name}}${meant}` };
  });
}

/**
 * Fills in the placeholders. A replaced text is not looked at again: the name of a branch is data.
 * @throws VariableError `environment.value-unknown` where there is no such value (a release without a tag)
 */
export function interpolate(text: string, variables: Variables): string {
  return text.replace(/\$\{([^}]*)\}?/g, (_, name: string) => {
    const value = isPlaceholder(name) ? VALUES[name](variables) : undefined;
    if (value !== undefined && value !== null) return value;
    throw new VariableError({
      code: 'environment.value-unknown',
      what: `Environment "${variables.environment.name}" uses \${${name}}, and this release has no such value.`,
      fix: `Take the placeholder out of the environment's config, or bring in a release that has a ${name}.`,
    });
  });
}

function isPlaceholder(name: string): name is keyof typeof VALUES {
  return Object.hasOwn(VALUES, name);
}
