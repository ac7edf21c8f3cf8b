/** Looks where Debian puts programs, also those of administrators and of Postgres, which are not on every PATH. */
export function programPath(program: string): string | null;
