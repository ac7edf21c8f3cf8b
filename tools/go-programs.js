// Real registry clients and readers of manifests that the tests run against, and the registry that benches measure ours
// against, which no Debian package has: built with Go from the module proxy, at these versions, once. Plain JavaScript, as packages.js. Without Go
// it says so, and only what needs them is left out.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { programPath } from './packages.js';

const MODULES = {
  crane: 'github.com/google/go-containerregistry/cmd/crane@v0.20.6',
  oras: 'oras.land/oras/cmd/oras@v1.2.3',
  kustomize: 'sigs.k8s.io/kustomize/kustomize/v5@v5.7.1',
};

/** Modules that say what of other modules they do not want, which Go heeds only when it builds them by themselves. */
const ALONE = {
  'docker-compose': {
    module: 'github.com/docker/compose/v2',
    version: 'v2.40.3',
    main: './cmd',
    says: 'github.com/docker/compose/v2/internal.Version',
  },
};

/** Of several modules together, which one of ours beside this file names: `FOLDER/go.mod`. What it keeps lies beside the program. */
const OURS = {
  kubernetes: {
    folder: fileURLToPath(new URL('kubernetes/', import.meta.url)),
    keeps: { 'argocd-crds': { module: 'github.com/argoproj/argo-cd/v3', folder: 'manifests/crds' } },
  },
};

/** Some minutes of a processor on a machine that is new, so each is built by `make` with its name alone. */
const WHEN_ASKED = {
  cosign: 'github.com/sigstore/cosign/v3/cmd/cosign@v3.0.2',
  helm: 'helm.sh/helm/v3/cmd/helm@v3.22.0',
  'osv-scanner': 'github.com/google/osv-scanner/v2/cmd/osv-scanner@v2.2.2',
};

/** Two minutes to build, so only where it is measured; and as its makers would. */
const BENCHED = { registry: 'github.com/distribution/distribution/v3/cmd/registry@v3.0.0' };

const FOLDER = fileURLToPath(new URL('../node_modules/.cache/towpath-go/', import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = process.argv.slice(2);
  for (const name of asked.length > 0
    ? asked
    : [...Object.keys(MODULES), ...Object.keys(ALONE), ...Object.keys(OURS)]) {
    const { missing } = findGoProgram(name, { build: true });
    if (missing !== undefined) process.stderr.write(`${missing}\n`);
  }
}

/** The path of a program, built where it is not yet; or what stands in the way. */
export function findGoProgram(name, { build = !Object.hasOwn(WHEN_ASKED, name) } = {}) {
  const path = join(FOLDER, name);
  if (existsSync(path)) return { path };
  if (!build) return { missing: `${name} is left out: it takes minutes to build. \`make ${name}\` does it, once.` };
  const module = OURS[name]?.folder ?? MODULES[name] ?? ALONE[name]?.module ?? WHEN_ASKED[name] ?? BENCHED[name];
  const go = programPath('go') ?? '/usr/local/go/bin/go';
  if (!existsSync(go)) return { missing: `${name} is left out: there is no Go on this machine to build it with.` };
  mkdirSync(FOLDER, { recursive: true });
  process.stderr.write(`building ${module}; this takes a minute or some, once\n`);
  const env = { ...process.env, GOBIN: FOLDER, CGO_ENABLED: '0' };
  // nothing is inlined and no symbols are kept: tests call each a few times
  const flags = Object.hasOwn(BENCHED, name) ? [] : ['-gcflags=all=-l', '-ldflags=-s -w'];
  const { status, stderr } = Object.hasOwn(ALONE, name)
    ? buildAlone(go, ALONE[name], path, { env })
    : Object.hasOwn(OURS, name)
      ? buildOurs(go, OURS[name], path, { env, flags })
      : spawnSync(go, ['install', ...flags, module], { env, encoding: 'utf8' });
  if (status === 0) return { path };
  return { missing: `${name} is left out: Go could not build ${module}: ${(stderr ?? '').trim().slice(-500)}` };
}

function buildOurs(go, { folder: cwd, keeps }, path, { env, flags }) {
  for (const [name, { module, folder }] of Object.entries(keeps)) {
    const fetched = spawnSync(go, ['mod', 'download', '-json', module], { cwd, env, encoding: 'utf8' });
    if (fetched.status !== 0) return fetched;
    copyFolder(join(JSON.parse(fetched.stdout).Dir, folder), join(FOLDER, name));
  }
  return spawnSync(go, ['build', '-buildvcs=false', ...flags, '-o', path, '.'], { cwd, env, encoding: 'utf8' });
}

/** In the folder of the module, as its makers do. */
function buildAlone(go, { module, version, main, says }, path, { env }) {
  const fetched = spawnSync(go, ['mod', 'download', '-json', `${module}@${version}`], { env, encoding: 'utf8' });
  if (fetched.status !== 0) return fetched;
  const cwd = JSON.parse(fetched.stdout).Dir;
  const flags = ['-gcflags=all=-l', `-ldflags=-s -w -X ${says}=${version}`];
  return spawnSync(go, ['build', '-mod=readonly', ...flags, '-o', path, main], { cwd, env, encoding: 'utf8' });
}

/** Of the module cache, where nothing can be written or removed, into a folder where that can be. */
function copyFolder(from, to) {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) writeFileSync(join(to, name), readFileSync(join(from, name)));
}
