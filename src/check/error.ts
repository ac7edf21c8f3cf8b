import { TowpathError } from '../lib/error.ts';

/** `check.unknown-kind`, `check.source-unreadable`, `check.no-server`, `check.server-unavailable`, `check.server-refused`, `check.not-yet`. */
export class CheckError extends TowpathError {}
