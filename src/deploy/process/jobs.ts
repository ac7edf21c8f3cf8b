import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { taskRunner } from '../../container/process/task-runner.ts';
import { type RuntimeJobs, targetKey } from '../rollout.ts';
import { accountFor, launcherOf, type ProcessParts, unpack } from './runtime.ts';
import { removeSecrets, writeSecrets } from './secret-files.ts';

/**
 * Jobs as processes that end with this server: of one that had begun before it, nobody knows how it ended.
 * @param work where their scratch folders lie; whoever cares for the machine sweeps it
 */
export function processJobs(parts: ProcessParts, work: string): RuntimeJobs {
  return {
    async run({ id, target, service, secrets }, { timeoutMs, begun, begin }, { log, signal }) {
      if (begun) return { kind: 'lost' };
      const image = await unpack(parts, service.image, service.digest, signal);
      const launcher = await launcherOf(parts.launchers);
      const account = await accountFor(launcher, image, target);
      const folder = join(parts.directory, targetKey(target));
      await mkdir(folder, { recursive: true, mode: 0o711 });
      const from = secrets.size === 0 ? null : await writeSecrets(folder, id, secrets, account);
      try {
        const inside = launcher.isolates || launcher.name === 'chroot' ? '/run/secrets' : from;
        const spec = {
          name: id,
          image,
          env: { ...service.env, ...(inside === null || from === null ? {} : { TOWPATH_SECRETS: inside }) },
          mounts: from === null || inside === from ? [] : [{ from, to: '/run/secrets', writable: false }],
          limits: service.limits,
          ...(service.command === undefined ? {} : { argv: service.command }),
          ...(account === null ? {} : { user: `${account.uid}:${account.gid}` }),
        };
        await begin();
        const result = await taskRunner(launcher, work).run(spec, { log, signal, timeoutMs });
        return result.kind === 'unready' ? { kind: 'lost' } : result;
      } finally {
        await removeSecrets(folder, id);
      }
    },
    forget: () => Promise.resolve(),
  };
}
