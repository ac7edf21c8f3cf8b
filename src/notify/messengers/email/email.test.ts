import { afterAll, beforeAll, expect, test } from 'vitest';

import { paragraphsOf } from '../../message.ts';
import type { MailServer } from '../../messenger.ts';
import { MAIL_PASSWORD, startMail, type TestMail } from '../../testing/mail.ts';
import { broke } from '../../testing/messages.ts';
import { email } from './email.ts';
import { mailServerFrom } from './mail-server.ts';

let mail: TestMail;

beforeAll(async () => {
  mail = await startMail();
}, 60_000);
afterAll(() => mail.close());

function send(
  receiver: string,
  more: { server?: MailServer | null; id?: string; mends?: string; password?: string } = {},
) {
  const { server = mail.server, id = 'msg_1', mends = null, password = MAIL_PASSWORD } = more;
  const letter = { id, message: broke, receiver, mends, settings: { to: [], strangers: false } };
  return email.send(letter, {
    now: () => Date.now(),
    secretOf: () => Promise.resolve(password),
    agentFor: () => expect.fail('No mail goes by HTTP.'),
    mail: server,
    signal: new AbortController().signal,
  });
}

test('a real mail server takes it by STARTTLS with a password: to one receiver, with an id that stays and no wish for an answer', async () => {
  expect(await send('ada@shop.test', { server: mail.closed })).toEqual({ kind: 'taken' });
  expect(await send('ada@shop.test', { id: 'msg_2', mends: 'msg_1' })).toEqual({ kind: 'taken' });
  const [first, second] = await mail.mails();
  expect(first).toMatchObject({
    to: 'ada@shop.test',
    headers: { subject: broke.title, 'auto-submitted': 'auto-generated' },
  });
  expect(first?.headers['message-id']).toMatch(/^<msg_1\.[0-9a-f]{12}@shop\.test>$/);
  expect(first?.text.replace(/=\n/g, '').replace(/=3D/g, '=')).toContain(paragraphsOf(broke)[0]);
  expect(second?.headers['in-reply-to']).toBe(first?.headers['message-id']);
});

test('what a receiver or a server cannot take is told apart: never, not now, not until somebody changes something', async () => {
  expect(await send('nobody@shop.test')).toMatchObject({
    kind: 'never',
    problem: { what: expect.stringContaining('no such user here') as string },
  });
  expect(await send('ada@elsewhere.test')).toMatchObject({ kind: 'never' });
  expect(await send('later@shop.test')).toMatchObject({ kind: 'away', problem: { code: 'notify.away' } });
  expect(await send('ada@shop.test', { server: { ...mail.server, port: 1 } })).toMatchObject({ kind: 'away' });
  expect(await send('ada@shop.test', { server: null })).toMatchObject({
    kind: 'refused',
    problem: { code: 'notify.no-mail-server' },
  });
});

test('nothing goes in the open where encryption is wanted, and no password is told', async () => {
  const { authority: _unknown, ...untrusted } = mail.closed;
  const before = (await mail.mails()).length;
  expect(await send('ada@shop.test', { server: untrusted })).toMatchObject({
    kind: 'refused',
    problem: { what: expect.stringContaining('encrypted') as string },
  });
  const wrong = await send('ada@shop.test', { server: mail.closed, password: 'another-password' });
  expect(wrong).toMatchObject({
    kind: 'refused',
    problem: { fix: expect.stringContaining('TOWPATH_SMTP_PASSWORD') as string },
  });
  expect(JSON.stringify(wrong)).not.toContain('another-password');
  expect(await mail.mails()).toHaveLength(before);
});

test('the mail server is said by the environment, without a password in it', () => {
  const from = { TOWPATH_SMTP_FROM: 'towpath@shop.example' };
  expect(mailServerFrom({})).toBeNull();
  expect(mailServerFrom({ ...from, TOWPATH_SMTP: 'smtp://mail.example' })).toEqual({
    host: 'mail.example',
    port: 587,
    encryption: 'starttls',
    user: null,
    password: null,
    from: 'towpath@shop.example',
  });
  expect(mailServerFrom({ ...from, TOWPATH_SMTP: 'smtps://mail.example:4465' })).toMatchObject({
    port: 4465,
    encryption: 'tls',
  });
  for (const [wrong, why] of [
    ['mail.example', 'no address'],
    ['http://mail.example', 'no address'],
    ['smtp://towpath:swordfish@mail.example', 'a password'],
  ] as const) {
    const read = () => mailServerFrom({ ...from, TOWPATH_SMTP: wrong });
    expect(read).toThrow(why);
    expect(read).not.toThrow('swordfish');
  }
  expect(() => mailServerFrom({ TOWPATH_SMTP: 'smtp://mail.example' })).toThrow('TOWPATH_SMTP_FROM');
  expect(() =>
    mailServerFrom({ ...from, TOWPATH_SMTP: 'smtp+plain://mail.example', TOWPATH_SMTP_USER: 'towpath' }),
  ).toThrow('in the open');
});
