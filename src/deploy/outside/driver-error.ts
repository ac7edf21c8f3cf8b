import { TowpathError } from '../../lib/error.ts';

/** `driver.*`: a driver that is not of this version cannot be used. */
export class DriverError extends TowpathError {}

export function notFound(file: string): DriverError {
  return new DriverError({
    code: 'driver.not-found',
    what: `There is no driver in ${file}: it is no file.`,
    fix: 'Name the JavaScript file whose default export is the driver, by --driver or TOWPATH_DRIVERS.',
  });
}

export function invalid(where: string, wrong: string, cause?: unknown): DriverError {
  return new DriverError(
    {
      code: 'driver.invalid',
      what: `${where} holds no driver that can be used: ${wrong}.`,
      fix: 'Mend it as docs/guide/writing-a-driver.md says, or leave it out of --driver and TOWPATH_DRIVERS.',
    },
    { cause },
  );
}

export function otherVersion(file: string, api: number, ours: number): DriverError {
  return new DriverError({
    code: 'driver.version',
    what: `The driver in ${file} was written for version ${api} of the contract of drivers; this Towpath has version ${ours}.`,
    fix:
      api > ours ? 'Upgrade Towpath, or take an older version of the driver.' : 'Take a newer version of the driver.',
  });
}

export function nameTaken(file: string, name: string): DriverError {
  return new DriverError({
    code: 'driver.name-taken',
    what: `The driver in ${file} is called "${name}", and so is another.`,
    fix: 'Give it another name, and name that one under `deploy`.',
  });
}
