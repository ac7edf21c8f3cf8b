import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Files of a commit: text, bytes, a link (`{ link }`), an executable (`{ run }`), or `null` to delete. */
export type FileChange = string | Buffer | { readonly link: string } | { readonly run: string } | null;

export interface ForgeRepository {
  /** Called after each push: by `commit`, and by git over http. */
  onPush: (() => Promise<unknown>) | undefined;
  readonly url: string;
  /** The bare repository on the disk of the forge. */
  readonly directory: string;
  /** Runs git in the bare repository and returns what it printed, trimmed. */
  git(...args: string[]): Promise<string>;
  /** Writes an object as it is given, however wrong, and returns its id. */
  write(type: 'tree' | 'commit' | 'blob', bytes: Buffer): Promise<string>;
  /** Writes many refs at once: lines of `<oid> <name>`. */
  packRefs(lines: readonly string[]): Promise<void>;
  /** Commits on a branch (made when it is not there, from `from` or empty) as a push would leave it. */
  commit(change: {
    readonly branch?: string;
    readonly files: Readonly<Record<string, FileChange>>;
    readonly message?: string;
    readonly from?: string;
    readonly merge?: string;
    /** Begin a new history: the branch is force-pushed. */
    readonly force?: boolean;
    readonly atSeconds?: number;
    /** The name of who wrote it. */
    readonly author?: string;
  }): Promise<string>;
}

export interface Forge {
  readonly url: string;
  /** Every request that came: method, path, the protocol it asked for. */
  readonly requests: readonly string[];
  /** When set, decides about each request: a status other than 200 is answered instead of git. */
  answer:
    | ((request: IncomingMessage) => { status: number; headers?: Record<string, string>; body?: string } | undefined)
    | undefined;
  /** When set, answers what is asked of the API of the host; git answers what it says no to. */
  api: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  createRepository(name: string, options?: { readonly objectFormat?: 'sha1' | 'sha256' }): Promise<ForgeRepository>;
  close(): Promise<void>;
}

/** A git server for tests: the real `git http-backend` behind a real HTTP server. `secret`: an expected Authorization. */
export async function startForge({ authorization }: { readonly authorization?: string } = {}): Promise<Forge> {
  const root = await mkdtemp(join(tmpdir(), 'towpath-forge-'));
  const requests: string[] = [];
  const repositories = new Map<string, ForgeRepository>();
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url} ${String(request.headers['git-protocol'] ?? '')}`.trim());
    if (forge.api?.(request, response) === true) return;
    const answer = forge.answer?.(request);
    if (answer !== undefined) response.writeHead(answer.status, answer.headers).end(answer.body);
    else if (authorization !== undefined && request.headers.authorization !== authorization)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="forge"' }).end();
    else {
      serve(root, request, response);
      const pushedTo = /^\/(.+)\.git\/git-receive-pack$/.exec(request.url ?? '')?.[1];
      response.once('finish', () => void repositories.get(pushedTo ?? '')?.onPush?.());
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const forge: Forge = {
    url,
    requests,
    answer: undefined,
    api: undefined,
    createRepository: async (name, options) => {
      const repository = await createRepository(root, url, name, options?.objectFormat ?? 'sha1');
      repositories.set(name, repository);
      return repository;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
      await rm(root, { recursive: true, force: true });
    },
  };
  return forge;
}

function serve(root: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://forge');
  const backend = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_USER: 'forge',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(backend.stdin).on('error', () => undefined);
  let head = Buffer.alloc(0);
  const onHead = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) return;
    backend.stdout.off('data', onHead);
    const headers = new Map(
      head
        .toString('latin1', 0, end)
        .split('\r\n')
        .map((line): [string, string] => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        }),
    );
    const status = Number.parseInt(headers.get('status') ?? '200', 10);
    headers.delete('status');
    response.writeHead(status, Object.fromEntries(headers));
    response.write(head.subarray(end + 4));
    backend.stdout.pipe(response);
  };
  backend.stdout.on('data', onHead);
  backend.once('error', () => response.destroy());
  backend.once('close', () => {
    if (!response.headersSent) response.writeHead(500);
    if (!response.writableEnded) response.end();
  });
  response.once('close', () => backend.kill());
}

async function createRepository(
  root: string,
  url: string,
  name: string,
  objectFormat: string,
): Promise<ForgeRepository> {
  const directory = join(root, `${name}.git`);
  const git = async (...args: string[]): Promise<string> => {
    const { stdout } = await run('git', [`--git-dir=${directory}`, ...args], {
      env: environment(),
      maxBuffer: 1 << 28,
    });
    return stdout.trim();
  };
  await run(
    'git',
    ['init', '--quiet', '--bare', '--initial-branch=main', `--object-format=${objectFormat}`, directory],
    {
      env: environment(),
    },
  );
  await git('config', 'uploadpack.allowFilter', 'true');
  await git('config', 'uploadpack.allowAnySHA1InWant', 'true');
  await git('config', 'http.receivepack', 'true');
  const headOf = (ref: string): Promise<string> =>
    git('rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`).catch(() => '');
  const repository: ForgeRepository = {
    onPush: undefined,
    url: `${url}/${name}.git`,
    directory,
    git,
    write: (type, bytes) => feed(directory, bytes, ['hash-object', '-t', type, '-w', '--literally', '--stdin']),
    packRefs: async (lines) => {
      const commands = lines.map((line) => line.split(' ')).map(([oid, name]) => `create ${name} ${oid}\n`);
      await feed(directory, Buffer.from(commands.join('')), ['update-ref', '--stdin']);
      await git('pack-refs', '--all');
    },
    commit: async ({
      branch = 'main',
      files,
      message = 'change',
      from,
      merge,
      force = false,
      atSeconds = 1_760_000_000,
      author = 'Ada Example',
    }) => {
      const head = force
        ? ''
        : (await headOf(`refs/heads/${branch}`)) || (from === undefined ? '' : await headOf(from));
      const stream = fastImport({
        branch,
        files,
        message,
        head,
        merge: merge === undefined ? '' : await headOf(merge),
        atSeconds,
        author,
      });
      await feed(directory, stream);
      await repository.onPush?.();
      return headOf(`refs/heads/${branch}`);
    },
  };
  return repository;
}

function fastImport({
  branch,
  files,
  message,
  head,
  merge,
  atSeconds,
  author,
}: {
  branch: string;
  files: Readonly<Record<string, FileChange>>;
  message: string;
  head: string;
  merge: string;
  atSeconds: number;
  author: string;
}): Buffer {
  const parts: (string | Buffer)[] = [];
  const data = (content: string | Buffer): void => {
    const bytes = Buffer.from(content);
    parts.push(`data ${bytes.length}\n`, bytes, '\n');
  };
  if (head === '') parts.push(`reset refs/heads/${branch}\n\n`);
  parts.push(
    `commit refs/heads/${branch}\n`,
    `committer ${author} <${author.split(' ')[0]?.toLowerCase()}@example.com> ${atSeconds} +0000\n`,
  );
  data(message);
  if (head !== '') parts.push(`from ${head}\n`);
  if (merge !== '') parts.push(`merge ${merge}\n`);
  for (const [path, change] of Object.entries(files)) {
    const quoted = `"${path
      .replaceAll('\\', String.raw`\\`)
      .replaceAll('"', String.raw`\"`)
      .replaceAll('\n', String.raw`\n`)}"`;
    if (change === null) {
      parts.push(`D ${quoted}\n`);
    } else if (typeof change === 'string' || Buffer.isBuffer(change)) {
      parts.push(`M 100644 inline ${quoted}\n`);
      data(change);
    } else if ('link' in change) {
      parts.push(`M 120000 inline ${quoted}\n`);
      data(change.link);
    } else {
      parts.push(`M 100755 inline ${quoted}\n`);
      data(change.run);
    }
  }
  return Buffer.concat(parts.map((part) => Buffer.from(part)));
}

const FAST_IMPORT = ['fast-import', '--quiet', '--force', '--date-format=raw'];

/** Runs git in the bare repository with `input`, and returns what it printed, trimmed. */
async function feed(directory: string, input: Buffer, args: readonly string[] = FAST_IMPORT): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('git', [`--git-dir=${directory}`, ...args], {
      env: environment(),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let said = '';
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.once('close', (code) => (code === 0 ? resolve(printed.trim()) : reject(new Error(`${args[0]}: ${said}`))));
    child.stdin.end(input);
  });
}

function environment(): NodeJS.ProcessEnv {
  const who = { NAME: 'Ada Example', EMAIL: 'ada@example.com', DATE: '1760000000 +0000' };
  return {
    PATH: process.env['PATH'],
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: who.NAME,
    GIT_AUTHOR_EMAIL: who.EMAIL,
    GIT_AUTHOR_DATE: who.DATE,
    GIT_COMMITTER_NAME: who.NAME,
    GIT_COMMITTER_EMAIL: who.EMAIL,
    GIT_COMMITTER_DATE: who.DATE,
  };
}
