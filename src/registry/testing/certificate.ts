import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A key and a certificate by `openssl`, which is its own authority: nobody trusts it unless told so. */
export async function makeCertificate(hosts: readonly string[]): Promise<Certificate> {
  const directory = await mkdtemp(join(tmpdir(), 'towpath-certificate-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const names = hosts.map((host) => `${/^[\d.]+$/.test(host) ? 'IP' : 'DNS'}:${host}`).join(',');
  const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const subject = ['-subj', '/CN=towpath test', '-addext', `subjectAltName=${names}`];
  await promisify(execFile)('openssl', [...kind, ...subject, '-keyout', key, '-out', cert]);
  const pair = { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
  await rm(directory, { recursive: true });
  return pair;
}
