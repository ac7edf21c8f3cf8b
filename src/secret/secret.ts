import { TowpathError } from '../lib/error.ts';

/** What went wrong with a secret: names its reference, never a value. Codes begin with `secret.`. */
export class SecretError extends TowpathError {}

/** A place that holds secrets, for references that begin with its scheme (`env:NAME`). */
export interface SecretStore {
  readonly scheme: string;
  /** @param name what follows the scheme @returns null when there is none */
  read(name: string): Promise<string | null>;
}

/** Turns references into values, at the moment of use and never before. */
export interface Secrets {
  resolve(reference: string): Promise<string>;
}

/** @throws SecretError `secret.malformed`, `secret.unknown-store`, `secret.missing` */
export function secretsOf(stores: readonly SecretStore[]): Secrets {
  return {
    resolve: async (reference) => {
      const { scheme, name } = parseReference(reference);
      const store = stores.find((candidate) => candidate.scheme === scheme);
      if (store === undefined) {
        throw new SecretError({
          code: 'secret.unknown-store',
          what: `There is no place for secrets called "${scheme}".`,
          fix: `Use one of: ${stores.map((known) => `${known.scheme}:…`).join(', ')}.`,
        });
      }
      const value = await store.read(name);
      if (value === null) {
        throw new SecretError({
          code: 'secret.missing',
          what: `The secret "${reference}" is not there.`,
          fix: 'Provide it on the machine where the server (its worker) runs, or correct the reference in towpath.yaml.',
        });
      }
      return value;
    },
  };
}

/** `scheme:name`. Anything else may be a value that somebody pasted: it is not shown. @throws SecretError `secret.malformed` */
export function parseReference(reference: string): { scheme: string; name: string } {
  const match = /^([a-z][a-z0-9-]{0,30}):([^\0\n\r]{1,4096})$/.exec(reference);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new SecretError({
      code: 'secret.malformed',
      what: 'A secret is given by something that is not a reference (it is not shown here: it may be the value).',
      fix: 'Write a reference such as `env:DATABASE_PASSWORD` or `file:/run/secrets/database`; never the value.',
    });
  }
  return { scheme: match[1], name: match[2] };
}
