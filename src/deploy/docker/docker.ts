import { hasCode } from '../../lib/error.ts';
import type { DeployDriver } from '../driver.ts';
import { createLocalDriver, type LocalConfig, type LocalDriverParts } from '../local.ts';
import type { RolloutAction } from '../rollout.ts';
import { probeContainer } from './probe.ts';
import { dockerRuntime, type DockerRuntimeParts } from './runtime.ts';

/**
 * Runs services as containers of the Docker Engine of this machine: each environment in a network of its own, behind the
 * local proxy. Their ports are bound to loopback, so the engine has to be on the machine of the server.
 */
export function createDockerDriver(
  parts: DockerRuntimeParts & Omit<LocalDriverParts, 'name' | 'how' | 'runtime' | 'probe'>,
): DeployDriver<LocalConfig, RolloutAction> {
  const { cutover, ledger, secrets, clock } = parts;
  const runtime = dockerRuntime(parts);
  const how = 'run in Docker';
  const driver = createLocalDriver({
    name: 'docker',
    how,
    runtime,
    cutover,
    ledger,
    secrets,
    clock,
    probe: probeContainer,
  });
  return {
    ...driver,
    handOver: (target, context) =>
      driver.handOver(target, context).catch((error: unknown) => {
        if (!hasCode(error, 'docker.unreachable')) throw error; // where no engine is, none of ours runs
      }),
  };
}
