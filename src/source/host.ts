/** A kind of git server, as far as its webhooks differ. What it says is never believed: it only wakes the poll. */
export interface SourceHost {
  readonly name: string;
  /** Whether a delivery has this host's form: the first host that says so judges it. */
  claims(headers: WebhookHeaders): boolean;
  verify(delivery: WebhookDelivery): WebhookVerdict;
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
  | { readonly kind: 'genuine'; readonly delivery: string }
  | { readonly kind: 'unsigned' }
  /** The signature is right, the time is not: perhaps a replay, perhaps a clock that is wrong. */
  | { readonly kind: 'stale' };
