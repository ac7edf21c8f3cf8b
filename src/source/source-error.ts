import { TowpathError } from '../lib/error.ts';

/**
 * Codes: `source.refs-vanished` (a server that lists nothing where there was something), `webhook.unsigned` (also for a
 * repository that is not known: a stranger learns nothing), `webhook.stale`,
 * `webhook.secret-unavailable` (which does not say where the secret should be), `source.credential-form`.
 */
export class SourceError extends TowpathError {}
