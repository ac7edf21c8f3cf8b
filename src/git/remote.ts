import type { GitCredential } from './credential.ts';
import { GitError } from './git-error.ts';

/** `http` and `file` are for tests, demos and trusted networks: only an administrator may allow them. */
export type Scheme = 'https' | 'ssh' | 'http' | 'file';

/** A repository on another machine (or, where allowed, on this one). */
export interface Remote {
  readonly url: string;
  /** Asked each time the network is used, so that a short-lived token is fresh and none is kept. */
  readonly credential?: (() => Promise<GitCredential | undefined>) | undefined;
  /** Default: https and ssh. */
  readonly allow?: readonly Scheme[] | undefined;
}

export interface RemoteUrl {
  readonly scheme: Scheme;
  /** As git takes it: parsed and written anew, or an scp-like `user@host:path` that was checked. */
  readonly href: string;
}

const SCP_LIKE = /^[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?!\/\/)[^-].*$/;

/**
 * Git runs programs for some URLs (`ext::`, `-oProxyCommand`, `--upload-pack=...`), so we parse them ourselves and let
 * only known shapes through. A password in a URL would end in logs and process lists: it is refused.
 * @throws GitError `git.url-refused`
 */
export function parseRemoteUrl(text: string, allow: readonly Scheme[] = ['https', 'ssh']): RemoteUrl {
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  if (text === '' || text.length > 2000 || text.startsWith('-') || /[\u0000-\u0020\u007f]/.test(text))
    throw refused('It is empty, too long, begins with a dash, or holds spaces or control characters.');
  const remote = SCP_LIKE.test(text) ? { scheme: 'ssh' as const, href: text } : parseUrl(text);
  if (!allow.includes(remote.scheme)) throw refused(`The scheme "${remote.scheme}" is not allowed here.`);
  return remote;
}

function parseUrl(text: string): RemoteUrl {
  const absolute = text.startsWith('/') ? `file://${text}` : text;
  const url = URL.canParse(absolute) ? new URL(absolute) : undefined;
  const scheme = url?.protocol.slice(0, -1);
  if (url === undefined || !isScheme(scheme) || !/^[a-z]+:\/\//i.test(absolute))
    throw refused('It is not a URL that git servers use.');
  if (url.password !== '') throw refused('It holds a password.');
  if (url.username !== '' && scheme !== 'ssh') throw refused('It holds a user name.');
  if (url.username.startsWith('-') || url.hostname.startsWith('-'))
    throw refused('A user or host name begins with a dash.');
  if (scheme === 'ssh' && !/^[\w.-]*$/.test(url.username)) throw refused('Its user name is not one of ssh.');
  if (scheme === 'ssh' && !/^(?:[\w.-]+|\[[0-9a-f:]+\])$/i.test(url.hostname))
    throw refused('Its host is not one of ssh.');
  if (url.search !== '' || url.hash !== '') throw refused('It holds a query or a fragment.');
  if (scheme === 'file' ? url.hostname !== '' : url.hostname === '')
    throw refused('Its host is not what it should be.');
  if (url.pathname === '/' || url.pathname === '') throw refused('It names no repository.');
  if (/%00|%0a|%0d/i.test(url.pathname)) throw refused('Its path holds control characters.');
  return { scheme, href: url.href.replace(/\/+$/, '') };
}

function isScheme(text: string | undefined): text is Scheme {
  return text === 'https' || text === 'ssh' || text === 'http' || text === 'file';
}

/** The URL itself is not repeated: it may hold a password. */
function refused(why: string): GitError {
  return new GitError({
    code: 'git.url-refused',
    what: `The URL of the repository is refused. ${why}`,
    fix: 'Give a URL such as https://host/team/shop.git or git@host:team/shop.git, and the credential separately; for `towpath up` also the path of a folder that is there.',
  });
}
