import { TowpathError } from '../lib/error.ts';

/** What can go wrong with images at rest. Codes: `registry.<what>`; the list is in `RegistryErrorCode`. */
export class RegistryError extends TowpathError {
  declare readonly code: RegistryErrorCode;
}

export type RegistryErrorCode =
  /** The repository, tag or reference is not written as the distribution specification wants it. */
  | 'registry.name-invalid'
  /** The digest is not one, or of an algorithm that the registry does not know. */
  | 'registry.digest-invalid'
  /** The range of a part of an upload is not written as one. */
  | 'registry.range-invalid'
  /** There is no such manifest, blob or upload. */
  | 'registry.not-found'
  /** The manifest is not one that may be stored: not JSON, of an unknown type, or it contradicts itself. */
  | 'registry.manifest-invalid'
  /** The manifest names blobs or manifests that the repository does not hold. */
  | 'registry.content-missing'
  /** More bytes than the registry takes for a manifest or a blob. */
  | 'registry.too-large'
  /** A part of an upload has another length than its range says. */
  | 'registry.size-invalid'
  /** The image is for another platform, too large, or not whole. */
  | 'registry.image-unfit'
  /** The bytes are not those that the digest (or the size) promised. */
  | 'registry.digest-mismatch'
  /** What was copied to another registry is not read back there as it was sent. */
  | 'registry.copy-differs'
  /** The tag may not move and names another digest. */
  | 'registry.tag-immutable'
  /** It may not be deleted: Towpath gave it a name, or it is part of something that has one. */
  | 'registry.still-needed'
  /** A part of an upload came out of order. */
  | 'registry.upload-range'
  /** The registry wants other credentials, or any. */
  | 'registry.unauthorized'
  /** The registry knows who asks and says no. */
  | 'registry.denied'
  /** The registry does not offer this, such as the deletion of a tag. */
  | 'registry.unsupported'
  /** No answer, after all retries. */
  | 'registry.unreachable'
  /** The registry answers that it cannot now (5xx), after all retries: that says nothing about what was asked. */
  | 'registry.unavailable'
  /** Too much was asked at once (429); of another registry: after all retries. */
  | 'registry.throttled'
  /** An answer that does not fit the specification. */
  | 'registry.failed'
  /** The registry sent us elsewhere with credentials or without encryption, and we did not go. */
  | 'registry.untrusted-redirect'
  /** The certificate of the registry, or of a host that it sends us to, is of no authority that is trusted here. */
  | 'registry.certificate'
  /** The docker configuration or a credential helper cannot be read. */
  | 'registry.credentials';
