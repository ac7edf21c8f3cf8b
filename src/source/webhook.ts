import type { Store } from '../store/database.ts';
import type { SourceHost, WebhookHeaders } from './host.ts';
import { hosts } from './hosts.ts';
import { SourceError } from './source-error.ts';
import { recordDelivery, wakeRepository, webhookSecretOf } from './wake-store.ts';

export interface WebhookDeps {
  readonly store: Store;
  readonly now: number;
  /** Follows a reference to a secret, at the moment of use. */
  readonly secretOf: (reference: string) => Promise<string>;
  readonly family?: readonly SourceHost[];
}

export type WebhookOutcome = 'woken' | 'known' | 'heard';

export interface WebhookRequest {
  readonly repositoryId: string;
  readonly headers: WebhookHeaders;
  readonly body: Buffer;
}

/**
 * Takes a webhook. It wakes the poll and nothing more: which ref moved where is read from the server, so a delivery
 * that is doubled, reordered, replayed or forged changes at most the moment of the next poll.
 * @returns `known` for a delivery that came before, `heard` for one that only asks whether somebody listens
 * @throws SourceError `webhook.unsigned`, `webhook.stale`, `webhook.secret-unavailable`
 */
export async function receiveWebhook(request: WebhookRequest, deps: WebhookDeps): Promise<WebhookOutcome> {
  const { store, now, secretOf, family = hosts } = deps;
  const { repositoryId, headers, body } = request;
  const host = family.find((member) => member.claims(headers));
  if (host?.isUnsignedPing?.(headers) === true) return 'heard';
  const reference = await webhookSecretOf(store.db, repositoryId);
  if (reference === null || host === undefined) throw unsigned();
  const verdict = host.verify({ headers, body, secret: await secretFor(reference, secretOf), now });
  switch (verdict.kind) {
    case 'unsigned':
      throw unsigned();
    case 'stale':
      throw stale();
    case 'genuine':
      if (verdict.isPing === true) return 'heard';
      return store.transaction(async (tx) => {
        const delivery = { host: host.name, delivery: `${repositoryId}/${verdict.delivery}`, repositoryId };
        if (!(await recordDelivery(tx, delivery, now))) return 'known';
        await wakeRepository(tx, repositoryId, now);
        return 'woken';
      });
    default:
      return verdict satisfies never;
  }
}

/**
 * Follows a reference for whoever has shown nothing yet: that it leads nowhere is told, and not where it leads.
 * @throws SourceError `webhook.secret-unavailable`, whose cause is for the server's log
 */
export async function secretFor(reference: string, secretOf: WebhookDeps['secretOf']): Promise<string> {
  try {
    return await secretOf(reference);
  } catch (cause) {
    throw new SourceError(
      {
        code: 'webhook.secret-unavailable',
        what: 'The secret that signs webhooks here cannot be read by the server.',
        fix: 'Whoever runs the server finds the reason in its log. Polling goes on.',
      },
      { cause },
    );
  }
}

function unsigned(): SourceError {
  return new SourceError({
    code: 'webhook.unsigned',
    what: 'The webhook is not signed with the secret of this repository.',
    fix: 'Set the same secret at the git host and in Towpath (`towpath project set --webhook-secret`). Polling goes on.',
  });
}

function stale(): SourceError {
  return new SourceError({
    code: 'webhook.stale',
    what: 'The webhook was signed more than five minutes from now.',
    fix: 'Set the clocks of both machines; a replayed delivery is refused for good. Polling goes on.',
  });
}
