import type { DeployDriver } from '../driver.ts';
import { createLocalDriver, type LocalConfig, type LocalDriverParts } from '../local.ts';
import type { RolloutAction } from '../rollout.ts';
import { dockerStatement } from './config.ts';
import { probeContainer } from './probe.ts';
import { dockerRuntime, type DockerRuntimeParts } from './runtime.ts';

/**
 * Runs services as containers of the Docker Engine of this machine: each environment in a network of its own, behind the
 * local proxy. Their ports are bound to loopback, so the engine has to be on the machine of the server.
 */
export function createDockerDriver(
  parts: DockerRuntimeParts & Omit<LocalDriverParts, 'statement' | 'how' | 'runtime' | 'probe'>,
): DeployDriver<LocalConfig, RolloutAction> {
  const { cutover, ledger, secrets, clock } = parts;
  const runtime = dockerRuntime(parts);
  return createLocalDriver({
    statement: dockerStatement,
    how: 'run in Docker',
    runtime,
    cutover,
    ledger,
    secrets,
    clock,
    probe: probeContainer,
  });
}
