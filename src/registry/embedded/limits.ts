import { RegistryError } from '../error.ts';

/** What one client may take of the registry, so that others have their part. What Towpath itself writes is not counted. */
export interface Limits {
  /** Of one blob; for its owner to raise. */
  readonly blobBytes: number;
  /** Uploads that are under way at once in the repositories of a project, in all processes, also after a restart. */
  readonly uploadsPerProject: number;
  /** Tags, or repositories, in one answer; the next page is linked. */
  readonly namesPerPage: number;
}

export const DEFAULT_LIMITS: Limits = { blobBytes: 16 * 1024 ** 3, uploadsPerProject: 1000, namesPerPage: 10_000 };

export function blobTooLarge({ blobBytes }: Limits): RegistryError {
  return new RegistryError({
    code: 'registry.too-large',
    what: `The blob has more than ${blobBytes} bytes, which is the limit of this registry.`,
    fix: 'Make several layers of it, or have TOWPATH_REGISTRY_BLOB_MB raised where the server starts.',
  });
}

export function tooManyUploads(project: string, { uploadsPerProject }: Limits): RegistryError {
  return new RegistryError({
    code: 'registry.throttled',
    what: `Project ${project} has ${uploadsPerProject} uploads under way, which is the limit of this registry.`,
    fix: 'Finish or cancel some. What nobody goes on with is dropped after a day.',
  });
}
