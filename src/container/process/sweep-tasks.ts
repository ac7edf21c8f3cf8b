import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { isGone, MAKER_PATTERN } from '../../lib/maker.ts';
import { removeTree } from '../rootfs/folders.ts';
import { findProgram, runQuietly } from './programs.ts';
import { runcId } from './runc.ts';
import { stopService } from './service.ts';

const FOLDER = new RegExp(`^(task|check)-(${MAKER_PATTERN})-`);

/**
 * Ends and removes what servers that were killed left of tasks: processes, control groups, containers of runc, folders.
 * @param directory where the scratch folders of tasks lie, and the folders that are mounted into them
 */
export async function sweepTasks(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const [, kind, maker = ''] = FOLDER.exec(name) ?? [];
    if (kind === undefined || !isGone(maker)) continue;
    const folder = join(directory, name);
    if (kind === 'task') {
      await stopService(name, null, 0);
      const runc = await findProgram('runc');
      if (runc !== null) await runQuietly([runc, '--root', join(folder, 'state'), 'delete', '--force', runcId(name)]);
    }
    await removeTree(folder);
  }
}
