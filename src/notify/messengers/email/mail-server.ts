import { NotifyError } from '../../notice.ts';
import type { MailServer } from '../../messenger.ts';

const KINDS = {
  'smtp:': { encryption: 'starttls', port: 587 },
  'smtps:': { encryption: 'tls', port: 465 },
  'smtp+plain:': { encryption: 'none', port: 25 },
} as const;

/**
 * The mail server of an installation, from its environment.
 * @throws NotifyError `notify.mail-server`
 */
export function mailServerFrom(environment: NodeJS.ProcessEnv): MailServer | null {
  const text = environment['TOWPATH_SMTP'] ?? '';
  if (text === '') return null;
  const url = URL.canParse(text) ? new URL(text) : null;
  const kind = url === null ? undefined : KINDS[url.protocol as keyof typeof KINDS];
  if (url === null || kind === undefined || url.hostname === '')
    throw wrong(
      'TOWPATH_SMTP is no address of a mail server.',
      'Write smtp://HOST:587 (with STARTTLS), smtps://HOST (TLS) or smtp+plain://HOST.',
    );
  if (url.username !== '' || url.password !== '')
    throw wrong(
      'TOWPATH_SMTP holds a user or a password.',
      'Give them as TOWPATH_SMTP_USER and TOWPATH_SMTP_PASSWORD, a reference such as file:/run/secrets/smtp.',
    );
  const from = environment['TOWPATH_SMTP_FROM'] ?? '';
  if (!/^[^\s<>@]+@[^\s<>@]+$/.test(from))
    throw wrong('TOWPATH_SMTP_FROM is no address.', 'Say from whom mail comes: TOWPATH_SMTP_FROM=towpath@example.com.');
  const user = environment['TOWPATH_SMTP_USER'] || null;
  const password = environment['TOWPATH_SMTP_PASSWORD'] || null;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (kind.encryption === 'none' && user !== null && !/^(?:localhost|127\..*|::1)$/.test(host))
    throw wrong('A password would go to the mail server in the open.', 'Write smtp:// or smtps:// in TOWPATH_SMTP.');
  return {
    host,
    port: url.port === '' ? kind.port : Number(url.port),
    encryption: kind.encryption,
    user,
    password,
    from,
  };
}

function wrong(what: string, fix: string): NotifyError {
  return new NotifyError({ code: 'notify.mail-server', what, fix });
}
