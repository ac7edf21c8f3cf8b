import type { GitCredential } from '../../git/credential.ts';
import type { HostSecret } from '../host.ts';

/** @param user what the host wants as the name beside a token that has none of its own */
export function basicCredential({ user, token }: HostSecret, tokenUser: string): GitCredential {
  return { kind: 'basic', username: user ?? tokenUser, password: token };
}

export function basicHeader(user: string, token: string): string {
  return `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`;
}
