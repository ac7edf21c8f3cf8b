import { redact } from '../secret/redact.ts';
import type { Secrets } from '../secret/secret.ts';
import { DeployError } from './deploy-error.ts';
import type { Desired, DesiredService, Jobs } from './driver.ts';
import type { Ledger } from './ledger-store.ts';
import { instanceId, type InstanceSpec, type RuntimeJobs } from './rollout.ts';

interface JobParts {
  readonly secrets: Secrets;
  readonly ledger: Ledger;
}

/** The jobs of a driver for one machine. */
export function jobsOf(jobs: RuntimeJobs, { secrets, ledger }: JobParts): Jobs {
  return {
    async run(desired, { service: name, argv, timeoutMs, begun, begin }, { log, signal, token }) {
      const { service, image, digest, env, secrets: references, limits } = serviceOf(desired, name);
      await ledger.claim(desired.target, token); // to make room for it is to end what is left of others
      const given = await secretsFor({ secrets }, { secrets: references });
      const instance: InstanceSpec = {
        id: idOf(desired, name),
        index: 0,
        operation: desired.operation,
        target: desired.target,
        service: { service, image, digest, env, secrets: references, limits, replicas: 1, command: argv },
        secrets: given,
      };
      const fenced = async (): Promise<void> => {
        await ledger.claim(desired.target, token);
        await begin();
      };
      const shown = (line: string): void => log(redact(line, given.values()));
      return jobs.run(instance, { timeoutMs, begun, begin: fenced }, { log: shown, signal });
    },
    forget: (desired, name) => jobs.forget(desired.target, idOf(desired, name)),
  };
}

/** No replica has that operation. */
function idOf({ target, operation }: Desired, service: string): string {
  return instanceId(target, service, `job of ${operation}`, 0);
}

/** The values of a service's secrets, by name. @throws SecretError */
export async function secretsFor(
  { secrets }: Pick<JobParts, 'secrets'>,
  service: Pick<DesiredService, 'secrets'>,
): Promise<Map<string, string>> {
  const named = Object.entries(service.secrets);
  const values = await Promise.all(named.map(([, reference]) => secrets.resolve(reference)));
  return new Map(named.map(([name], index) => [name, values[index] ?? '']));
}

export function serviceOf(desired: Desired, name: string): DesiredService {
  const found = desired.services.find(({ service }) => service === name);
  if (found !== undefined) return found;
  throw new DeployError({
    code: 'deploy.stale-plan',
    what: `The plan speaks of "${name}", which this release does not have.`,
    fix: 'Plan again from what is observed now.',
  });
}
