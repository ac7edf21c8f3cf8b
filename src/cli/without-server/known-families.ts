import type { Families } from '../../config/config.ts';
import { families, familiesWith } from '../../config/families.ts';
import { driverFiles } from '../../deploy/outside/driver-files.ts';
import { loadDrivers } from '../../deploy/outside/load-drivers.ts';
import type { Io } from '../io.ts';

/** What the server will know, which has the same drivers besides. @throws DriverError */
export async function knownFamilies({ env }: Io, named: readonly string[] = []): Promise<Families> {
  const taken = families.drivers.map(({ name }) => name);
  return familiesWith(await loadDrivers(driverFiles(named, env['TOWPATH_DRIVERS']), taken));
}
