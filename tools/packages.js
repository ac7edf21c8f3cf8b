// Sees to it that this machine has the programs that the tests run against: real ones, from Debian. Runs before anything
// is installed or built, so it is plain JavaScript. Where it may not install, it says what is missing and fails.
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Package -> a program that is there once it is installed. */
const WANTED = {
  bubblewrap: 'bwrap',
  buildah: 'buildah',
  'busybox-static': 'busybox',
  'ca-certificates': 'update-ca-certificates',
  'cgroupfs-mount': 'cgroupfs-mount',
  chromium: 'chromium',
  'docker-registry': 'docker-registry',
  'docker.io': 'dockerd',
  'etcd-server': 'etcd',
  'exim4-daemon-light': 'exim4',
  faketime: 'faketime',
  git: 'git',
  iproute2: 'ip',
  iptables: 'iptables',
  'openssh-client': 'ssh',
  'openssh-server': 'sshd',
  openssl: 'openssl',
  postgresql: 'initdb',
  python3: 'python3',
  'redis-server': 'redis-server',
  runc: 'runc',
  skopeo: 'skopeo',
  unzip: 'unzip',
  'util-linux': 'setpriv',
  wrk: 'wrk',
};

/** For what is only run when it is asked for: `node tools/packages.js sonar`. */
const WHEN_ASKED = { sonar: { maven: 'mvn', 'openjdk-17-jre-headless': 'java', unzip: 'unzip' } };

const NO_SERVICES = '/usr/sbin/policy-rc.d';

/** Debian starts no ssh server while this file is there: one that was not here before must not listen after the next boot. */
const NO_SSH_SERVER = '/etc/ssh/sshd_not_to_be_run';

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = process.argv[2];
  const trouble = setUp(asked === undefined ? WANTED : WHEN_ASKED[asked]);
  if (trouble !== null) {
    process.stderr.write(`${trouble}\n`);
    process.exitCode = 1;
  }
}

/** @returns null when all is there, else what is missing and what to do */
function setUp(wanted) {
  if (process.platform !== 'linux') {
    return `The tests need Linux with: ${Object.keys(wanted).join(', ')}.\nRun them in a Debian machine or container.`;
  }
  const missing = missingPackages(wanted);
  if (missing.length === 0) return null;
  if (process.getuid?.() !== 0 || !isDebian()) {
    return `The tests need these Debian packages, which are not here: ${missing.join(', ')}.
Run \`sudo apt-get install ${missing.join(' ')}\` (or what your system calls them), then try again.`;
  }
  process.stderr.write(`installing ${missing.join(', ')}\n`);
  install(missing);
  const still = missingPackages(wanted);
  return still.length === 0
    ? null
    : `These packages could not be installed: ${still.join(', ')}.\nSee what apt-get said above; the machine needs a reachable Debian mirror.`;
}

function missingPackages(wanted) {
  return Object.entries(wanted)
    .filter(([, program]) => programPath(program) === null)
    .map(([name]) => name);
}

/** Looks where Debian puts programs, also those of administrators and of Postgres, which are not on every PATH. */
export function programPath(program) {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/sbin',
    '/usr/bin',
    '/bin',
    ...postgresFolders(),
  ];
  return folders.map((folder) => join(folder, program)).find(isProgram) ?? null;
}

/** The folders of Debian's Postgres versions, newest first. */
function postgresFolders(root = '/usr/lib/postgresql') {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort((one, other) => Number(other) - Number(one))
    .map((version) => join(root, version, 'bin'));
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isDebian() {
  return existsSync('/etc/debian_version') && /^ID(_LIKE)?=.*debian/m.test(readFileSync('/etc/os-release', 'utf8'));
}

/** Installs programs and starts no services: what the tests need they start themselves, privately. */
function install(names) {
  if (names.includes('openssh-server')) {
    mkdirSync(dirname(NO_SSH_SERVER), { recursive: true });
    writeFileSync(NO_SSH_SERVER, '');
  }
  const forbidsAlready = existsSync(NO_SERVICES);
  if (!forbidsAlready) writeFileSync(NO_SERVICES, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const argv = ['install', '--yes', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...names];
    // Lists that are missing or old make the first try fail; then they are worth fetching.
    if (!aptGet(argv) && aptGet(['update'])) aptGet(argv);
  } finally {
    if (!forbidsAlready) rmSync(NO_SERVICES, { force: true });
  }
}

function aptGet(argv) {
  const { status } = spawnSync('apt-get', argv, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  return status === 0;
}
