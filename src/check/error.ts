import { TowpathError } from '../lib/error.ts';

/** `check.unknown-kind`, `check.source-unreadable`. */
export class CheckError extends TowpathError {}
