/** What proves to a git server who we are; without `knownHostsFile` ssh trusts the hosts that the server's user trusts. Its parts reach git by environment or file, never by argument list or URL. */
export type GitCredential =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'ssh'; readonly keyFile?: string | undefined; readonly knownHostsFile?: string | undefined };

/** The value of the `Authorization` header; `undefined` for ssh. */
export function authorizationOf(credential: GitCredential | undefined): string | undefined {
  switch (credential?.kind) {
    case undefined:
    case 'ssh':
      return undefined;
    case 'basic':
      return `Basic ${Buffer.from(`${credential.username}:${credential.password}`).toString('base64')}`;
    case 'bearer':
      return `Bearer ${credential.token}`;
    default:
      return credential satisfies never;
  }
}
