import { createTransport } from 'nodemailer';
import { z } from 'zod';

import { listOf } from '../../../lib/fields.ts';
import { type Problem, problemOf } from '../../../lib/error.ts';
import { sha256Hex } from '../../../lib/digest.ts';
import { redact } from '../../../secret/redact.ts';
import { type Message, paragraphsOf } from '../../message.ts';
import type { MailServer, Messenger } from '../../messenger.ts';
import { lineWithin } from '../../text.ts';
import type { Verdict } from '../../verdict.ts';

const Settings = z.strictObject({
  to: listOf(z.string().min(1, 'authors, approvers, a role, a user or an address')).describe(
    '`authors` (those whom `users` knows), `approvers`, roles, users, or addresses',
  ),
  strangers: z
    .boolean()
    .default(false)
    .describe('With `authors`: also those whom no user is known for, at the address that git has of them'),
});

export type EmailSettings = z.infer<typeof Settings>;

const TIMEOUT_MS = 20_000;

/** One mail for each receiver, so that what one server refuses of one is nobody else's trouble. */
export const email: Messenger<EmailSettings> = {
  name: 'email',
  config: Settings,
  async send({ id, message, receiver, mends }, means) {
    const { mail } = means;
    if (mail === null) return refused(NO_SERVER, true);
    const password = mail.password === null ? '' : (await means.secretOf(mail.password)).trim();
    const transport = createTransport({
      host: mail.host,
      port: mail.port,
      secure: mail.encryption === 'tls',
      requireTLS: mail.encryption === 'starttls',
      ignoreTLS: mail.encryption === 'none',
      connectionTimeout: TIMEOUT_MS,
      greetingTimeout: TIMEOUT_MS,
      socketTimeout: TIMEOUT_MS,
      ...(mail.authority === undefined ? {} : { tls: { ca: mail.authority } }),
      disableFileAccess: true,
      disableUrlAccess: true,
      ...(mail.user === null ? {} : { auth: { user: mail.user, pass: password } }),
    });
    const abort = (): void => transport.close();
    means.signal.addEventListener('abort', abort, { once: true });
    try {
      await transport.sendMail(mailOf(message, { id, receiver, mends, mail }));
      return { kind: 'taken' };
    } catch (error) {
      return judge(error, mail, password);
    } finally {
      means.signal.removeEventListener('abort', abort);
      transport.close();
    }
  },
};

function mailOf(
  message: Message,
  { id, receiver, mends, mail }: { id: string; receiver: string; mends: string | null; mail: MailServer },
) {
  const idOf = (message: string): string => `<${message}.${sha256Hex(receiver).slice(0, 12)}@${domainOf(mail.from)}>`;
  return {
    from: { name: 'Towpath', address: mail.from },
    to: { name: '', address: receiver },
    subject: lineWithin(message.title, 200),
    text: `${[...paragraphsOf(message), message.url].join('\n\n')}\n`,
    messageId: idOf(id),
    // the fix stands in the thread of what broke
    ...(mends === null ? {} : { inReplyTo: idOf(mends), references: idOf(mends) }),
    date: new Date(message.at),
    headers: { 'auto-submitted': 'auto-generated', 'x-auto-response-suppress': 'All' },
  };
}

/** @see RFC 5321 4.2.1: 4yz is for now, 5yz for good; of a receiver alone where it is an answer to RCPT */
function judge(error: unknown, mail: MailServer, password: string): Verdict {
  const { code, responseCode, command, response } = detailsOf(error);
  const said = response === '' ? '' : ` (${lineWithin(redact(response, [password]), 200)})`;
  const server = `${mail.host}:${mail.port}`;
  if (code === 'EAUTH' || code === 'ENOAUTH')
    return refused(
      problem(
        'notify.refused',
        `The mail server ${server} does not let the server in${said}.`,
        'Look at TOWPATH_SMTP_USER and TOWPATH_SMTP_PASSWORD.',
      ),
      true,
    );
  if (code === 'ETLS' || (error instanceof Error && /certificate/i.test(error.message)))
    return refused(
      problem(
        'notify.refused',
        `There is no encrypted connection with the mail server ${server}${said}.`,
        'Let it offer STARTTLS with a certificate that this machine trusts, or say smtps:// or smtp+plain:// in TOWPATH_SMTP.',
      ),
      true,
    );
  if (responseCode >= 500 && /^(?:RCPT|API)/.test(command))
    return {
      kind: 'never',
      problem: problem(
        'notify.refused',
        `The mail server ${server} takes nothing for this address${said}.`,
        'Correct the address where towpath.yaml names it.',
      ),
    };
  if (responseCode >= 500)
    return refused(
      problem(
        'notify.refused',
        `The mail server ${server} refuses${said}.`,
        'Look at TOWPATH_SMTP and TOWPATH_SMTP_FROM, and what the server says.',
      ),
      true,
    );
  return {
    kind: 'away',
    problem: problem(
      'notify.away',
      `The mail server ${server} does not take it now${said === '' ? ` (${code})` : said}.`,
      'Nothing is to be done: it is tried again by itself.',
    ),
  };
}

function detailsOf(error: unknown): { code: string; responseCode: number; command: string; response: string } {
  const { code, responseCode, command, response } = (
    typeof error === 'object' && error !== null ? error : {}
  ) as Record<string, unknown>;
  return {
    code: typeof code === 'string' ? code : problemOf(error).what,
    responseCode: typeof responseCode === 'number' ? responseCode : 0,
    command: typeof command === 'string' ? command : '',
    response: typeof response === 'string' ? response : '',
  };
}

function refused(problem: Problem, everything: boolean): Verdict {
  return { kind: 'refused', problem, everything };
}

function problem(code: string, what: string, fix: string): Problem {
  return { code, what, fix };
}

const NO_SERVER: Problem = {
  code: 'notify.no-mail-server',
  what: 'This installation has no mail server.',
  fix: 'Start it with TOWPATH_SMTP=smtp://HOST:587 and TOWPATH_SMTP_FROM=ADDRESS.',
};

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}
