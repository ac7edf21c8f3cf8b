import { TowpathError } from '../lib/error.ts';

/** What the store raises: `store.unreachable`, `store.migration-*`, `store.embedded-*`. */
export class StoreError extends TowpathError {}
