import { TowpathError } from '../lib/error.ts';

/** What went wrong between an image and a program that should run in it. Codes begin with `container.`. */
export class ContainerError extends TowpathError {}
