import { TowpathError } from '../lib/error.ts';

/** `http.*`: the question itself was wrong, before any noun was asked. */
export class HttpError extends TowpathError {}
