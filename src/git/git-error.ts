import { DISK_FULL } from '../lib/disk-full.ts';
import { TowpathError, type Problem } from '../lib/error.ts';

/**
 * A failure of git or of the server behind it. Codes: `git.missing-program`, `git.too-old`, `git.url-refused`,
 * `git.denied`, `git.not-found`, `git.moved`, `git.unreachable`, `git.busy`, `git.timeout`, `git.cancelled`,
 * `git.too-large`, `git.too-many-refs`, `git.protocol`, `git.object-missing`, `git.not-a-commit`,
 * `git.tree-malformed`, `git.pack-refused`, `git.unsafe-object`, `git.name-not-utf8`, `git.locked`, `git.failed`.
 */
export class GitError extends TowpathError {
  /** How long the server asked us to stay away, when it said so. */
  readonly retryAfterMs: number | undefined;

  constructor(problem: Problem, options: ErrorOptions & { readonly retryAfterMs?: number | undefined } = {}) {
    super(problem, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Reads what a git program said on its way out. The text is for people: it is clean, short and holds no secret. */
export function gitErrorOf(command: string, stderr: string): GitError {
  const said = cleanMessage(stderr);
  const lines = said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('hint:'));
  const telling =
    lines.find((line) => /^(fatal|error|remote: error|ERROR):/i.test(line)) ?? lines.at(-1) ?? 'no message';
  const { code, fix } = classify(said);
  return new GitError({ code, what: `git ${command} failed: ${telling.slice(0, 300)}.`, fix });
}

/** Control characters (a server may colour its words) go, and so does whatever a URL says before its host. */
export function cleanMessage(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex -- terminal sequences are what is looked for
      .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)/g, '')
      .replace(/\r\n?/g, '\n')
      // eslint-disable-next-line no-control-regex -- so are lone control characters
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '')
      .replace(/([a-z][a-z0-9+.-]*:\/\/)[^/\s@]*@/gi, '$1')
      .replace(/\b(authorization:\s*(?:basic|bearer)\s+)\S+/gi, '$1***')
  );
}

function classify(said: string): { code: string; fix: string } {
  for (const [pattern, code, fix] of CLASSES) if (pattern.test(said)) return { code, fix };
  return { code: 'git.failed', fix: 'Read what git said; if the repository is at fault, `git fsck` on it tells more.' };
}

const CLASSES: readonly (readonly [RegExp, string, string])[] = [
  [/no space left on device|disk quota exceeded/i, DISK_FULL.code, DISK_FULL.fix],
  [
    /fsck error in packed object/i,
    'git.unsafe-object',
    'Git refuses an object of this repository as unsafe or broken: find its branch by `git fsck`, and delete or repair it.',
  ],
  [
    /authentication failed|could not read (username|password)|permission denied|access denied|host key verification failed|returned error: 40[13]|terminal prompts disabled/i,
    'git.denied',
    'Check the credential of this repository and, for ssh, the known_hosts file.',
  ],
  [
    /dubious ownership/i,
    'git.denied',
    'The repository belongs to another user of this machine: serve it over https or ssh, or run Towpath as that user.',
  ],
  [
    /repository .*not found|returned error: 404|does not appear to be a git repository|not a git repository/i,
    'git.not-found',
    'Check the URL and that the credential may read this repository.',
  ],
  // Of some writes git does not say why they failed; that it is no matter of permissions was seen above.
  [/(could not|unable to|failed to) write|write error/i, DISK_FULL.code, DISK_FULL.fix],
  [
    /not our ref|couldn't find remote ref|no such remote ref/i,
    'git.object-missing',
    'The commit or ref is no longer on the server: perhaps it was force-pushed away. Push it again, or choose another.',
  ],
  [
    /could not resolve|unable to access|connection (refused|reset|timed out|closed)|operation timed out|early eof|the remote end hung up|network is unreachable|returned error: 5\d\d|unexpected disconnect/i,
    'git.unreachable',
    'Check that the git server can be reached from here; Towpath tries again by itself.',
  ],
  [/returned error: 429/i, 'git.busy', 'The git server limits our rate; Towpath tries again by itself, later.'],
  [
    /cannot lock ref|unable to create '[^']*\.lock'/i,
    'git.locked',
    'Another process works on the same refs; Towpath tries again by itself.',
  ],
  [
    /transport '.*' not allowed/i,
    'git.url-refused',
    'Use an https or ssh URL, or let the administrator allow this scheme.',
  ],
];
