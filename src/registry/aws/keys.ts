import { z } from 'zod';

import { RegistryError } from '../error.ts';

/** What requests are signed with. */
export interface AccessKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** As `credential_process` of AWS's own tools prints them. */
const Keys = z.object({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  SessionToken: z.string().min(1).optional(),
});

export interface KeysWanted {
  /** What they open, as in "There are no keys for <of>." */
  readonly of: string;
  /** The variable that may name a secret. */
  readonly variable: string;
}

/**
 * Reads the keys when they are used, each time anew, for they may be short-lived: from the secret that a variable names, else
 * from the variables that every tool of AWS knows.
 * @throws RegistryError `registry.credentials`
 */
export function accessKeys(
  environment: NodeJS.ProcessEnv,
  { of, variable }: KeysWanted,
  secretOf: (reference: string) => Promise<string>,
): () => Promise<AccessKeys> {
  const reference = environment[variable] ?? '';
  return async () => {
    if (reference !== '') return keysIn(await secretOf(reference), variable);
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
    if (!accessKeyId || !secretAccessKey)
      throw noKeys(
        `There are no keys for ${of}.`,
        `Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a secret in ${variable}.`,
      );
    return { accessKeyId, secretAccessKey, sessionToken: environment['AWS_SESSION_TOKEN'] || undefined };
  };
}

function keysIn(text: string, variable: string): AccessKeys {
  try {
    const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken } = Keys.parse(JSON.parse(text));
    return { accessKeyId, secretAccessKey, sessionToken: SessionToken };
  } catch {
    // the reason could hold a piece of the secret
    throw noKeys(
      `The secret that ${variable} names does not hold keys.`,
      'Let it hold `{"AccessKeyId": "...", "SecretAccessKey": "..."}`, with `SessionToken` where there is one.',
    );
  }
}

function noKeys(what: string, fix: string): RegistryError {
  return new RegistryError({ code: 'registry.credentials', what, fix });
}
