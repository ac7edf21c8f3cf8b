import { TowpathError } from '../lib/error.ts';

/** What went wrong when something was made to run. Codes begin with `deploy.` or `proxy.`. */
export class DeployError extends TowpathError {}

/** A newer hand works on this target: whoever gets this must stop and touch nothing more. */
export function fenced(what: string, token: bigint, higher: bigint): DeployError {
  return new DeployError({
    code: 'deploy.fenced',
    what: `${what} belongs to a newer operation by now (token ${higher}, ours is ${token}).`,
    fix: 'Nothing needs to be done: the newer operation decides what runs. `towpath status` shows it.',
  });
}
