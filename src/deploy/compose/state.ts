import type { ContainerState } from '../../container/docker/containers.ts';
import { restartOf } from './render.ts';
import type { Stack, StackService } from './stack.ts';

/**
 * How a container beside the release is.
 * @param isJob others wait until it ended well
 * @returns `well`, `starting`, or what is wrong
 */
export function stateOf(container: ContainerState, file: StackService, isJob: boolean): string {
  const { running, exitCode, restarts, startedAtMs } = container;
  if (running) return isJob ? 'starting' : runningState(container);
  if (startedAtMs <= 0) return 'starting';
  if (exitCode === 0 && mayEnd(file, isJob)) return 'well';
  if (isJob || restartOf(file, isJob) === 'no') return `it ended with code ${exitCode}`;
  return restarts > 2 ? `it ends again and again, with code ${exitCode}` : 'starting';
}

/** @returns `well`, `starting`, or what is wrong */
export function runningState({ health }: ContainerState): string {
  return health === 'unhealthy' ? 'it is unhealthy' : health === 'starting' ? 'starting' : 'well';
}

/** Whether it is well once it ended with 0. */
export function mayEnd(file: StackService, isJob: boolean): boolean {
  return isJob || /^(?:no$|on-failure)/.test(restartOf(file, isJob));
}

/** Those that others wait for until they ended well. */
export function jobsIn({ services }: Stack): ReadonlySet<string> {
  return new Set(
    [...services.values()].flatMap(({ depends_on: needs = {} }) =>
      Object.entries(needs).flatMap(([name, { condition }]) =>
        condition === 'service_completed_successfully' ? [name] : [],
      ),
    ),
  );
}
