import { SecretError, type SecretStore } from '../../secret.ts';

/** `env:NAME`: a variable of the server's own environment, but for its settings, which hold tokens and passwords of its own. */
export function envSecrets(env: Readonly<Record<string, string | undefined>>): SecretStore {
  return {
    scheme: 'env',
    read: (name) => {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return Promise.reject(notAName());
      if (name.startsWith('TOWPATH_')) return Promise.reject(ownSetting(name));
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

function ownSetting(name: string): SecretError {
  return new SecretError({
    code: 'secret.not-given',
    what: `The variable ${name} is a setting of the server itself, and no secret of a service.`,
    fix: 'Give the server the value under another name, and refer to that.',
  });
}
