import { z } from 'zod';

import { signStandardWebhook } from '../../../source/hosts/standard-webhook.ts';
import { type CdEvent, cdEventBody } from '../../cd-event.ts';
import type { Message } from '../../message.ts';
import type { Messenger } from '../../messenger.ts';
import { Address, addressFrom, post } from '../post.ts';

const Settings = z.strictObject({
  url: Address.describe('Where to: http(s)://..., or a reference to a secret that holds it'),
  secret: z.string().min(1, 'a reference such as env:NAME').optional().describe('Reference to what it is signed with'),
});

/**
 * Programs that follow the delivery, told as CDEvents in CloudEvents 1.0 by HTTP, structured: so what is signed, where a secret
 * is named, is the whole event. The id of an event is the same at each try.
 * @see cdevents/spec v0.5.1, `cloudevents-binding.md`
 */
export const cdevents: Messenger<z.infer<typeof Settings>> = {
  name: 'cdevents',
  config: Settings,
  ofEvents: true,
  async send({ id, message, settings }, means) {
    const event = message.event ?? tested(message);
    const body = JSON.stringify({
      specversion: '1.0',
      id,
      source: event.source,
      type: event.type,
      subject: event.subject.id,
      time: message.at,
      datacontenttype: 'application/json',
      data: cdEventBody(event, id, message.at),
    });
    const secret = settings.secret === undefined ? null : (await means.secretOf(settings.secret)).trim();
    const signed = secret === null ? {} : signStandardWebhook({ id, atMs: means.now(), body, secret });
    const address = await addressFrom(settings.url, means);
    const headers = { 'content-type': 'application/cloudevents+json; charset=utf-8', ...signed };
    return post({ address, body, headers, secrets: secret === null ? [] : [secret] }, means);
  },
};

/** A test of the channel is no fact of the delivery: an event of our own. */
function tested({ project, title, what, url }: Message): CdEvent {
  return {
    type: 'dev.cdeventsx.towpath-channel.tested.0.1.0',
    source: url.split('#')[0] || '/',
    subject: { id: project, content: { title, what } },
  };
}
