import { RegistryError } from '../error.ts';

/**
 * Where a service of AWS is spoken to instead, with a slash at its end: as `variable` says, or `AWS_ENDPOINT_URL`; null where
 * neither does. Nothing goes there unencrypted, but to this very machine.
 * @throws RegistryError `registry.name-invalid`
 */
export function endpointIn(environment: NodeJS.ProcessEnv, variable: string): URL | null {
  const text = environment[variable] || environment['AWS_ENDPOINT_URL'] || '';
  if (text === '') return null;
  const url = URL.canParse(text) ? new URL(text) : null;
  const isHere = url !== null && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isHere)) && url.username === '') {
    if (!url.pathname.endsWith('/')) url.pathname += '/';
    return url;
  }
  throw new RegistryError({
    code: 'registry.name-invalid',
    what: `${variable} or AWS_ENDPOINT_URL is not an https address (it is not shown: it may hold a password).`,
    fix: `Write ${variable} as \`https://aws.example.org\`; http is for this very machine.`,
  });
}
