import type { GitCredential } from '../git/credential.ts';
import type { RepositoryPlace } from './repository-place.ts';

/** A kind of git server. What its webhooks say is never believed: they only wake the poll. */
export interface SourceHost {
  /** As in `--host`. */
  readonly name: string;
  /** As its makers write it. */
  readonly title: string;
  /** Whether a server of this name is one of its kind, without anybody saying so. */
  serves(hostname: string): boolean;
  /** Whether a delivery has this host's form: the first host that says so judges it. */
  claims(headers: WebhookHeaders): boolean;
  verify(delivery: WebhookDelivery): WebhookVerdict;
  /** Whether a delivery only asks if somebody listens, and is never signed: it may be answered to anybody. */
  isUnsignedPing?(headers: WebhookHeaders): boolean;
  /** How git shows it a token: hosts differ in the user name that they want beside it. */
  gitCredential(secret: HostSecret): GitCredential;
  /** Refs of its pull requests; null: it offers none. */
  readonly pulls: PullRefs | null;
  /** Null: it has none that we know. */
  readonly api: HostApiForm | null;
}

/** Names in lower case, as Node gives them. */
export type WebhookHeaders = Readonly<Record<string, string | undefined>>;

export interface WebhookDelivery {
  readonly headers: WebhookHeaders;
  /** The very bytes that came: the signature is over them. */
  readonly body: Buffer;
  readonly secret: string;
  readonly now: number;
}

export type WebhookVerdict =
  /** `isPing`: it was sent to see whether somebody listens, and tells of no ref. */
  | { readonly kind: 'genuine'; readonly delivery: string; readonly isPing?: boolean }
  | { readonly kind: 'unsigned' }
  /** The signature is right, the time is not: perhaps a replay, perhaps a clock that is wrong. */
  | { readonly kind: 'stale' };

/** How a host shows pull (merge) requests: by refs, which stay when one is closed, and by its API. */
export interface PullRefs {
  /** What the refs of their heads begin with. */
  readonly prefix: string;
  /** Of the API, below the repository; the number follows. */
  readonly path: string;
  /** The states that mean it is not closed. */
  readonly open: readonly string[];
}

/** What a credential holds: `user:password`, or a token alone. */
export interface HostSecret {
  readonly user: string | null;
  readonly token: string;
}

/** Where a host's API is and how it is spoken to. */
export interface HostApiForm {
  /** Without a slash at its end. */
  base(place: RepositoryPlace): string;
  /** Of the repository, below the base: `/repos/team/shop`. */
  repository(place: RepositoryPlace): string;
  /** What goes with each request, the token among them. */
  headers(secret: HostSecret): Readonly<Record<string, string>>;
}
