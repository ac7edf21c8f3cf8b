import { resolve } from 'node:path';

/**
 * The files of drivers that whoever starts the server names: by `--driver`, and by TOWPATH_DRIVERS, separated by commas. Never
 * read from a repository: they run with all rights of the server.
 */
export function driverFiles(named: readonly string[], variable: string | undefined): string[] {
  const listed = (variable ?? '').split(',').map((file) => file.trim());
  return [...new Set([...named, ...listed].filter((file) => file !== '').map((file) => resolve(file)))];
}
