import { TowpathError } from '../../lib/error.ts';

/** What the engine raises: `engine.*`. */
export class EngineError extends TowpathError {}
