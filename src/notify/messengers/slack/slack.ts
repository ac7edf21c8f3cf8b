import { z } from 'zod';

import { type Message, paragraphsOf } from '../../message.ts';
import type { Messenger } from '../../messenger.ts';
import { addressFrom, post } from '../post.ts';

const Settings = z.strictObject({
  url: z
    .string()
    .regex(/^(?!https?:)[a-z][a-z0-9-]*:./, 'a reference such as env:NAME: who knows the address may write there')
    .describe('Reference to the address of an incoming webhook, of Slack or what speaks like it'),
});

/** Slack refuses texts beyond 40,000 characters, and shows less. */
const MOST = 3000;

/** Slack's incoming webhooks, which Mattermost, Rocket.Chat, Zulip and Discord (`/slack`) take as well. */
export const slack: Messenger<z.infer<typeof Settings>> = {
  name: 'slack',
  config: Settings,
  async send({ message, settings }, means) {
    const address = await addressFrom(settings.url, means);
    const body = JSON.stringify({ text: textOf(message) });
    return post({ address, body, headers: { 'content-type': 'application/json' } }, means);
  },
};

function textOf(message: Message): string {
  const title = `*<${message.url}|${escaped(message.title).replaceAll('|', '/')}>*`;
  const body = escaped(paragraphsOf(message).join('\n'));
  return `${title}\n${body.length > MOST ? `${body.slice(0, MOST)}…` : body}`;
}

/** Whoever writes a commit's subject mentions no channel and makes no link. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
