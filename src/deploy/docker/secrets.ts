import { DeployError } from '../deploy-error.ts';

/**
 * Where a program finds its secrets, one file each; `TOWPATH_SECRETS` says so. They are copied into the container before
 * it starts: so they are in no argument, environment or label, need no folder of the machine, and go with the container.
 */
export const SECRETS_FOLDER = '/run/secrets';

/** @throws DeployError `deploy.secret-name`: a name becomes the name of a file */
export function checkSecretNames(secrets: ReadonlyMap<string, string>): void {
  for (const name of secrets.keys()) {
    if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(name)) continue;
    throw new DeployError({
      code: 'deploy.secret-name',
      what: 'A secret has a name that cannot be the name of a file.',
      fix: 'Use letters, digits, `_`, `-` and `.` for the names of secrets in towpath.yaml.',
    });
  }
}
