import { SecretError, type SecretStore } from '../../secret.ts';

/** `env:NAME`: a variable of the server's own environment. */
export function envSecrets(env: Readonly<Record<string, string | undefined>>): SecretStore {
  return {
    scheme: 'env',
    read: (name) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return Promise.reject(notAName());
      return Promise.resolve(Object.hasOwn(env, name) ? (env[name] ?? null) : null);
    },
  };
}

function notAName(): SecretError {
  return new SecretError({
    code: 'secret.malformed',
    what: 'A secret refers to a variable by something that is no name of a variable.',
    fix: 'Write `env:` and letters, digits and underscores, such as `env:DATABASE_PASSWORD`.',
  });
}
