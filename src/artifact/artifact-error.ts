import { TowpathError } from '../lib/error.ts';

/** What goes wrong while an artifact is made. Codes begin with `artifact.`. */
export class ArtifactError extends TowpathError {}
