import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { z } from 'zod';

import { freePort } from '../../src/lib/port.ts';

const run = promisify(execFile);

const VERSION = '9.9.0.65466';
const SERVER = `org.sonarsource.sonarqube:sonar-application:${VERSION}:zip`;
const SCANNER_VERSION = '5.0.1.3006';
const SCANNER = `org.sonarsource.scanner.cli:sonar-scanner-cli:${SCANNER_VERSION}`;
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/towpath-maven/', import.meta.url));
const PASSWORD = 'a password of this test alone';
/** Elasticsearch refuses to run as root. */
const NOBODY = 65534;

export interface SonarQube {
  readonly url: string;
  readonly token: string;
  /** As its administrator. */
  post(path: string, fields: Readonly<Record<string, string>>): Promise<unknown>;
  /** Runs the scanner over a folder. */
  scan(folder: string, project: string, commit: string): Promise<void>;
  stop(): Promise<void>;
}

/** Fetches SonarQube and its scanner from Maven Central, once, and starts it in a folder of its own. */
export async function startSonarQube(): Promise<SonarQube> {
  await fetchOnce(SERVER, `sonar-application-${VERSION}.zip`);
  await fetchOnce(SCANNER, `sonar-scanner-cli-${SCANNER_VERSION}.jar`);
  const home = await mkdtemp(join(tmpdir(), 'towpath-sonar-'));
  await run('unzip', ['-q', join(CACHE, `sonar-application-${VERSION}.zip`), '-d', home]);
  const [port, searchPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const folder = join(home, `sonarqube-${VERSION}`);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await giveTo(home, NOBODY);
  const log = await open(join(home, 'towpath.log'), 'w');
  const settings = {
    'sonar.web.host': '127.0.0.1',
    'sonar.web.port': port,
    'sonar.search.port': searchPort,
    'sonar.telemetry.enable': false,
    'sonar.updatecenter.activate': false,
  };
  const flags = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  const child = spawn('java', ['-jar', join('lib', `sonar-application-${VERSION}.jar`), ...flags], {
    cwd: folder,
    stdio: ['ignore', log.fd, log.fd],
    env: { PATH: process.env['PATH'], HOME: home },
    ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
  });
  const ended = new Promise<never>((_, reject) =>
    child.once('exit', (code) => reject(new Error(`SonarQube ended with ${code}; ${join(home, 'towpath.log')}`))),
  );
  ended.catch(() => undefined);
  const stop = async (): Promise<void> => {
    child.kill();
    await ended.catch(() => undefined);
    await log.close();
    await rm(home, { recursive: true, force: true });
  };
  await Promise.race([isUp(url), ended]);
  let login = 'admin:admin';
  const post = async (path: string, fields: Readonly<Record<string, string>>): Promise<unknown> => {
    const response = await fetch(`${url}/api/${path}`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(login).toString('base64')}` },
      body: new URLSearchParams(fields),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  };
  await post('users/change_password', { login: 'admin', previousPassword: 'admin', password: PASSWORD });
  login = `admin:${PASSWORD}`;
  const { token } = z.object({ token: z.string() }).parse(await post('user_tokens/generate', { name: 'towpath' }));
  return {
    url,
    token,
    post,
    async scan(source, project, commit) {
      const options = {
        'sonar.host.url': url,
        'sonar.login': token,
        'sonar.projectKey': project,
        'sonar.sources': '.',
        'sonar.scm.disabled': true,
        'sonar.scm.revision': commit,
        'sonar.userHome': join(home, 'scanner'),
      };
      const defines = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
      const jar = join(CACHE, `sonar-scanner-cli-${SCANNER_VERSION}.jar`);
      await run('java', [...defines, '-jar', jar], { cwd: source, maxBuffer: 16 * 1024 * 1024 });
    },
    stop,
  };
}

async function fetchOnce(artifact: string, file: string): Promise<void> {
  if (existsSync(join(CACHE, file))) return;
  await mkdir(CACHE, { recursive: true });
  const argv = ['--batch-mode', '--quiet', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${CACHE}`];
  await run('mvn', argv, { maxBuffer: 16 * 1024 * 1024 });
}

async function isUp(url: string): Promise<void> {
  for (;;) {
    const status = await fetch(`${url}/api/system/status`)
      .then((response) => response.text())
      .catch(() => '');
    if (status.includes('"UP"')) return;
    await pause(500);
  }
}

async function giveTo(folder: string, user: number): Promise<void> {
  await chmod(folder, 0o755);
  await chown(folder, user, user);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (!entry.isSymbolicLink()) await chown(join(entry.parentPath, entry.name), user, user);
}
