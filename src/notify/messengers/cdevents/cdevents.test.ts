import { Webhook } from 'standardwebhooks';
import { Agent } from 'undici';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createFence } from '../../../lib/fence/fence.ts';
import type { CdEvent } from '../../cd-event.ts';
import type { Means } from '../../messenger.ts';
import { testMessage } from '../../plan-message.ts';
import { readCloudEvent } from '../../testing/cdevents.ts';
import { broke } from '../../testing/messages.ts';
import { type Receiver, startReceiver } from '../../testing/receiver.ts';
import { cdevents } from './cdevents.ts';

const SECRET = 'whsec_dGhlIGNhbmFyeSBvZiBhIHNlY3JldCBvZiB3ZWJob29rcw==';
const agent = new Agent({ connect: createFence({ allow: '127.0.0.1' }).connector({}) });
const means: Means = {
  now: () => Date.now(),
  secretOf: async () => SECRET,
  agentFor: () => agent,
  mail: null,
  signal: new AbortController().signal,
};
const event: CdEvent = {
  type: 'dev.cdevents.service.removed.0.3.0',
  source: 'https://towpath.example/api/v1/projects/shop',
  subject: { id: 'shop/web', content: { environment: { id: 'shop/qa' } } },
  customData: { release: 12 },
};
const message = { ...broke, topic: 'event' as const, event };

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(async () => {
  await Promise.all([receiver.close(), agent.close()]);
});

test('an event goes out as a CloudEvent in structured mode, whole and signed where a secret is named', async () => {
  const settings = { url: `${receiver.url}/sink`, secret: 'env:HOOK' };
  expect(await cdevents.send({ id: 'msg_1', message, receiver: '', mends: null, settings }, means)).toEqual({
    kind: 'taken',
  });
  const [taken] = receiver.taken.splice(0);
  const { envelope, body } = readCloudEvent(taken);
  expect(envelope).toMatchObject({ id: 'msg_1', source: event.source, subject: 'shop/web', time: broke.at });
  expect(body).toEqual({
    context: { specversion: '0.5.1', id: 'msg_1', source: event.source, type: event.type, timestamp: broke.at },
    subject: event.subject,
    customData: { towpath: { release: 12 } },
    customDataContentType: 'application/json',
  });
  const headers = Object.fromEntries(
    Object.entries(taken?.headers ?? {}).map(([name, value]) => [name, String(value)]),
  );
  expect(new Webhook(SECRET).verify(taken?.body ?? '', headers)).toEqual(envelope);
});

test('without a secret it is not signed; a test of the channel is an event of our own', async () => {
  const tested = testMessage('shop', 'sink', 'ada', new Date(0), 'https://towpath.example/#project=shop');
  const settings = { url: `${receiver.url}/sink` };
  await cdevents.send({ id: 'msg_2', message: tested, receiver: '', mends: null, settings }, means);
  const [taken] = receiver.taken.splice(0);
  expect(taken?.headers).not.toHaveProperty('webhook-signature');
  expect(readCloudEvent(taken).envelope).toMatchObject({
    type: 'dev.cdeventsx.towpath-channel.tested.0.1.0',
    source: 'https://towpath.example/',
  });
});
