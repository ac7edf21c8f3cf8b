import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { programPath } from '../../../tools/packages.js';
import { freePort } from '../../lib/port.ts';
import { makeCertificate } from '../../registry/testing/certificate.ts';
import type { MailServer } from '../messenger.ts';

export interface TestMail {
  /** Where it is: without encryption. */
  readonly server: MailServer;
  /** The same, by STARTTLS with a certificate that is trusted, and a password. */
  readonly closed: MailServer;
  /** What it took, in the order in which it did. */
  mails(): Promise<Mail[]>;
  close(): Promise<void>;
}

export interface Mail {
  /** Of the envelope. */
  readonly to: string;
  /** By their names in lower case, unfolded. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/**
 * A real mail server: Debian's Exim, which takes mail for `shop.test` and keeps it in its queue. It has nobody called `nobody`, and
 * never has time for `later`.
 */
export async function startMail(): Promise<TestMail> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-mail-'));
  const { cert, key } = await makeCertificate(['127.0.0.1']);
  await mkdir(join(directory, 'spool'));
  await writeFile(join(directory, 'cert.pem'), cert);
  await writeFile(join(directory, 'key.pem'), key, { mode: 0o600 });
  await writeFile(join(directory, 'conf'), configuration(directory));
  const port = await freePort('127.0.0.1');
  const child = spawn(
    programPath('exim4') ?? 'exim4',
    ['-C', join(directory, 'conf'), '-bdf', '-oX', `127.0.0.1.${port}`],
    { stdio: 'ignore' },
  );
  await answering(child, port);
  const server = { host: '127.0.0.1', port, user: null, password: null, from: 'towpath@shop.test' } as const;
  return {
    server: { ...server, encryption: 'none' },
    closed: { ...server, encryption: 'starttls', user: 'towpath', password: 'env:SMTP_PASSWORD', authority: cert },
    mails: () => queued(join(directory, 'spool', 'input')),
    async close() {
      child.kill('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export const MAIL_PASSWORD = 'canary-of-the-password-for-mail';

function configuration(directory: string): string {
  return `
primary_hostname = mail.shop.test
exim_user = root
exim_group = root
keep_environment =
spool_directory = ${directory}/spool
log_file_path = ${directory}/%slog
pid_file_path = ${directory}/pid
queue_only = true
message_id_header_domain = shop.test
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = ${directory}/cert.pem
tls_privatekey = ${directory}/key.pem
auth_advertise_hosts = \${if eq{$tls_in_cipher}{}{}{*}}
acl_smtp_rcpt = receivers
acl_smtp_data = accept
begin acl
receivers:
  defer local_parts = later
        message = try again in a moment
  deny local_parts = nobody
       message = no such user here
  accept domains = shop.test
  deny message = relay not permitted
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{$auth2}{towpath}}{eq{$auth3}{${MAIL_PASSWORD}}}}}
  server_set_id = $auth2
`;
}

async function answering(child: ChildProcess, port: number): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const greeted = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('data', () => resolve(true)).once('error', () => resolve(false));
      socket.once('data', () => socket.end('QUIT\r\n'));
    });
    if (greeted) return;
    if (child.exitCode !== null || Date.now() > deadline) throw new Error('Exim did not start.');
    await sleep(20);
  }
}

/** As Exim keeps them: what it knows, then the headers, each with its length and kind before it; the text in a file of its own. */
async function queued(folder: string): Promise<Mail[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('-H'));
  const mails = await Promise.all(
    names.map(async (name) => {
      const known = await readFile(join(folder, name), 'utf8');
      const text = await readFile(join(folder, name.replace(/-H$/, '-D')), 'utf8');
      const [envelope = '', ...headers] = known.split(/\n\n/);
      const fields = [...headers.join('\n\n').matchAll(/^\d{3}[ A-Z*] ([\w-]+):((?:.*\n)(?:[ \t].*\n)*)/gm)].map(
        ([, field = '', value = '']) => [field.toLowerCase(), value.replace(/\n[ \t]/g, ' ').trim()] as const,
      );
      const receivedMs = Number(/-received_time_usec \.(\d+)/.exec(known)?.[1] ?? 0);
      const seconds = Number(/^(\d{9,}) \d+$/m.exec(known)?.[1] ?? 0);
      return {
        at: seconds * 1e6 + receivedMs,
        to: envelope.trim().split('\n').at(-1) ?? '',
        headers: Object.fromEntries(fields),
        text: text.slice(text.indexOf('\n') + 1),
      };
    }),
  );
  return mails.toSorted((one, other) => one.at - other.at).map(({ to, headers, text }) => ({ to, headers, text }));
}
