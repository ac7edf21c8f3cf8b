import { sha256Hex } from '../lib/digest.ts';

/** The version of the specification whose schemas these events keep to. */
export const CDEVENTS_VERSION = '0.5.1';

/**
 * A fact as CDEvents words it, without the id and the instant that its message gives it. Plain JSON.
 * @see cdevents/spec v0.5.1, `schemas/`
 */
export interface CdEvent {
  readonly type: `dev.cdevents.${string}` | `dev.cdeventsx.${string}`;
  /** The project, in Towpath's API. */
  readonly source: string;
  readonly subject: { readonly id: string; readonly content: Readonly<Record<string, unknown>> };
  /** The same for all that comes of one commit. */
  readonly chainId?: string;
  /** What Towpath knows besides. */
  readonly customData?: Readonly<Record<string, unknown>>;
}

/** The CDEvent in full, which is the data of its CloudEvent. */
export function cdEventBody({ type, source, subject, chainId, customData }: CdEvent, id: string, at: string): object {
  return {
    context: {
      specversion: CDEVENTS_VERSION,
      id,
      source,
      type,
      timestamp: at,
      ...(chainId === undefined ? {} : { chainId }),
    },
    subject,
    ...(customData === undefined
      ? {}
      : { customData: { towpath: customData }, customDataContentType: 'application/json' }),
  };
}

/** A UUID by its form, which is the same wherever it is computed. */
export function chainOf(project: string, commit: string): string {
  const hash = sha256Hex(`${project} ${commit}`);
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `8${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}

/** An image as a package URL names it: the digest is the version. @see package-url/purl-spec, `oci` */
export function purlOf(host: string, repository: string, digest: string): string {
  const name = repository.split('/').at(-1) ?? repository;
  return `pkg:oci/${encodeURIComponent(name)}@${encodeURIComponent(digest)}?repository_url=${encodeURIComponent(`${host}/${repository}`)}`;
}
