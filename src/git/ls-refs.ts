import type { Dispatcher } from 'undici';

import { sha256Hex } from '../lib/digest.ts';
import { git } from './git.ts';
import { encodeRequest } from './pkt-line.ts';
import { parseListing, readListing, tooManyRefs } from './ref-listing.ts';
import { BRANCH_PREFIX, type GitRef } from './ref.ts';
import { parseRemoteUrl, type Remote, type RemoteUrl } from './remote.ts';
import { askGitServer } from './smart-http.ts';

/** What a server lists. `hash` stands for the whole answer: two equal hashes, two equal listings. */
export type RefListing =
  | { readonly kind: 'unchanged'; readonly hash: string }
  | {
      readonly kind: 'listed';
      readonly hash: string;
      readonly refs: readonly GitRef[];
      /** The branch that HEAD names, `refs/heads/main`; `null` when it names none that exists. */
      readonly defaultBranch: string | null;
    };

export interface ListOptions {
  /** The hash of the listing that is known: when the server says the same, nothing is parsed. */
  readonly known?: string | undefined;
  /** Keeps connections alive from one poll to the next. Default: the pool of the process. */
  readonly dispatcher?: Dispatcher | undefined;
  readonly timeoutMs?: number | undefined;
  readonly maxRefs?: number | undefined;
  /** Lists heads of pull requests too, whose refs begin so: `refs/pull/`. */
  readonly pulls?: string | undefined;
  /** Lists this ref alone, by its whole name, where the server can: others may come as well, and the default branch is not told. */
  readonly only?: string | undefined;
  /** For what a server says of when to come again. Default: the machine's clock. */
  readonly now?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lists branches and tags of a repository. Over http(s) it is one POST of protocol v2 on a pooled connection, some 17
 * times the throughput of a process per poll; a server that does not understand it, and ssh, get `git ls-remote`.
 * @throws GitError
 */
export async function listRefs(remote: Remote, options: ListOptions = {}): Promise<RefListing> {
  const url = parseRemoteUrl(remote.url, remote.allow);
  const answer = url.scheme === 'https' || url.scheme === 'http' ? await askServer(url, remote, options) : undefined;
  const lines = answer ?? (await askProgram(url, remote, options));
  const hash = sha256Hex(lines);
  if (hash === options.known) return { kind: 'unchanged', hash };
  return { kind: 'listed', hash, ...parseListing(lines, options) };
}

const MAX_BYTES = 128 * 1024 * 1024;
const PREFIXES = ['HEAD', BRANCH_PREFIX, 'refs/tags/'];

/** The lines of the answer (`oid name attributes`), or `undefined` when the server does not speak protocol v2 so. */
async function askServer(url: RemoteUrl, remote: Remote, options: ListOptions): Promise<string | undefined> {
  const { only, pulls } = options;
  const prefixes = only === undefined ? [...PREFIXES, ...(pulls === undefined ? [] : [pulls])] : [only];
  const wanted = ['peel', 'symrefs', ...prefixes.map((prefix) => `ref-prefix ${prefix}`)];
  // A server hangs up on the wrong hash function; nearly all repositories are sha1, so that is asked for first.
  for (const format of ['sha1', 'sha256']) {
    const answer = await askGitServer(`${url.href}/git-upload-pack`, {
      method: 'POST',
      credential: await remote.credential?.(),
      headers: {
        'content-type': 'application/x-git-upload-pack-request',
        accept: 'application/x-git-upload-pack-result',
        'git-protocol': 'version=2',
      },
      body: encodeRequest(['command=ls-refs', 'agent=towpath', `object-format=${format}`], wanted),
      tooLarge: () => tooManyRefs(`more than ${MAX_BYTES / 1024 / 1024} MiB of`),
      maxBytes: MAX_BYTES,
      ...options,
    });
    if (answer.status !== 200 || answer.headers['content-type'] !== 'application/x-git-upload-pack-result')
      return undefined;
    const lines = readListing(answer.body);
    if (lines !== undefined) return lines;
  }
  return undefined;
}

/** Brings what `git ls-remote` prints into the lines of protocol v2. */
async function askProgram(url: RemoteUrl, remote: Remote, options: ListOptions): Promise<string> {
  const patterns = [
    'HEAD',
    'refs/heads/*',
    'refs/tags/*',
    ...(options.pulls === undefined ? [] : [`${options.pulls}*`]),
  ];
  const { stdout } = await git(['ls-remote', '--quiet', '--symref', '--end-of-options', 'origin', ...patterns], {
    directories: url.scheme === 'file' ? [decodeURIComponent(new URL(url.href).pathname)] : [],
    remote: { url, credential: await remote.credential?.() },
    config: [['remote.origin.url', url.href]],
    maxBytes: MAX_BYTES,
    timeoutMs: options.timeoutMs ?? 60_000,
    signal: options.signal,
  });
  const rows = stdout
    .toString('utf8')
    .split('\n')
    .map((line) => line.split('\t', 2));
  const target = rows.find(([what, name]) => name === 'HEAD' && what?.startsWith('ref: ') === true)?.[0]?.slice(5);
  const peeled = new Map(
    rows.flatMap(([oid = '', name = '']) => (name.endsWith('^{}') ? [[name.slice(0, -3), oid]] : [])),
  );
  return rows
    .filter(([what = '', name = '']) => name !== '' && !name.endsWith('^{}') && !what.startsWith('ref: '))
    .map(([oid, name = '']) => {
      if (name === 'HEAD') return target === undefined ? `${oid} HEAD` : `${oid} HEAD symref-target:${target}`;
      const commit = peeled.get(name);
      return commit === undefined ? `${oid} ${name}` : `${oid} ${name} peeled:${commit}`;
    })
    .join('\n');
}
