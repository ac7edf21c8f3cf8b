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

/**
 * Reads the keys when they are used, each time anew, for they may be short-lived: from the secret that `reference`
 * names, else from the variables that every tool of AWS knows.
 * @throws RegistryError `registry.credentials`
 */
export function accessKeys(
  environment: NodeJS.ProcessEnv,
  reference: string | undefined,
  secretOf: (reference: string) => Promise<string>,
): () => Promise<AccessKeys> {
  return async () => {
    if (reference !== undefined) return keysIn(await secretOf(reference));
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
    if (!accessKeyId || !secretAccessKey)
      throw noKeys(
        'There are no keys for the bucket that holds zips.',
        'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a secret in TOWPATH_ZIPS_KEYS.',
      );
    return { accessKeyId, secretAccessKey, sessionToken: environment['AWS_SESSION_TOKEN'] || undefined };
  };
}

function keysIn(text: string): AccessKeys {
  try {
    const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken } = Keys.parse(JSON.parse(text));
    return { accessKeyId, secretAccessKey, sessionToken: SessionToken };
  } catch {
    // the reason could hold a piece of the secret
    throw noKeys(
      'The secret that TOWPATH_ZIPS_KEYS names does not hold keys.',
      'Let it hold `{"AccessKeyId": "...", "SecretAccessKey": "..."}`, with `SessionToken` where there is one.',
    );
  }
}

function noKeys(what: string, fix: string): RegistryError {
  return new RegistryError({ code: 'registry.credentials', what, fix });
}
