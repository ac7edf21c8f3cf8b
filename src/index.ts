/** The public door for authors of drivers, checks and hosts. */
export type { Digest } from './lib/digest.ts';
export { TowpathError, type Problem } from './lib/error.ts';
