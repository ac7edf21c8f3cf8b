import { TowpathError } from '../../lib/error.ts';

/** What kept an image from being written into manifests. Codes begin with `gitops.`. */
export class GitopsError extends TowpathError {}
