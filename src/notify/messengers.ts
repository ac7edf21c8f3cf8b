import type { Messenger } from './messenger.ts';
import { cdevents } from './messengers/cdevents/cdevents.ts';
import { email } from './messengers/email/email.ts';
import { slack } from './messengers/slack/slack.ts';
import { webhook } from './messengers/webhook/webhook.ts';

/** The family of messengers: the kinds of channels under `notify` in `towpath.yaml`. */
export const messengers = [email, slack, webhook, cdevents] as const;

export function messengerOf(kind: string): Messenger | null {
  return messengers.find(({ name }) => name === kind) ?? null;
}
