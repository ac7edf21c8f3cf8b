import type { TaskRunner } from '../runtime.ts';
import { bwrapLauncher } from './bwrap.ts';
import { chrootLauncher } from './chroot.ts';
import { hostLauncher } from './host.ts';
import type { Launcher } from './launcher.ts';
import { runcLauncher } from './runc.ts';
import { taskRunner } from './task-runner.ts';

/** For services, best first; the host itself is the last resort. */
export function serviceLaunchers(): Launcher[] {
  return [bwrapLauncher(), chrootLauncher(), hostLauncher()];
}

/**
 * The ways of this machine to run a task in an unpacked image, best first; those that do not work here are left out.
 * The host always is the last: whoever must not use it looks at `isolates`.
 */
export async function usableTaskRunners(scratchDirectory: string): Promise<TaskRunner[]> {
  const launchers = [bwrapLauncher(), runcLauncher(), chrootLauncher(), hostLauncher()];
  const usable = await Promise.all(launchers.map((launcher) => launcher.available()));
  return launchers.filter((_, index) => usable[index]).map((launcher) => taskRunner(launcher, scratchDirectory));
}
