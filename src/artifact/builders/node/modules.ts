import type { SourceTree } from '../../../git/tree.ts';
import { hashOfJson } from '../../../lib/digest.ts';
import type { LogLine } from '../../../lib/log.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { BuiltArtifact } from '../../builder.ts';
import type { LayerCache } from '../../oci/layer-cache.ts';
import type { BaseLock } from './base/base-lock.ts';
import type { NpmSettings } from './definition.ts';
import { parseIntegrity } from './integrity.ts';
import { parseLockfile, parsePackageJson } from './lockfile.ts';
import { fromItems, makeLayer } from './made-layer.ts';
import type { MadeLayer } from './made-layer.ts';
import { modulesItems, NeedsNpm, refuseFilesAsFolders } from './modules-layer.ts';
import { planModules } from './modules-plan.ts';
import type { ModulesPlan, ModulesQuestion, PlannedPackage } from './modules-plan.ts';
import type { NpmBase, NpmCi } from './npm-ci.ts';
import { parseNpmrc, withProjectConfig } from './npm-config.ts';
import type { NpmConfig } from './npm-config.ts';
import type { FetchTarball } from './tarballs.ts';

/** Raised when the same packages are to give another layer than before. */
const LAYER_VERSION = 1;

export interface ModulesParts {
  readonly layers: LayerCache;
  readonly tarball: FetchTarball;
  readonly npm: NpmConfig;
  readonly npmCi: NpmCi;
  readonly lock: BaseLock;
  /** Folder of the layer that `node_modules` lies in. */
  readonly prefix: string;
}

export interface ModulesRequest {
  readonly definition: NpmSettings;
  readonly source: SourceTree;
  readonly platform: string;
  readonly base: NpmBase;
  readonly log: LogLine;
  readonly signal: AbortSignal;
}

export interface Modules {
  readonly layer: MadeLayer | null;
  readonly materials: BuiltArtifact['materials'];
  readonly isolation: BuiltArtifact['isolation'];
}

const NOTHING: Modules = { layer: null, materials: [], isolation: 'none' };

/** Makes the `node_modules` layer: straight from the lock file, or by npm where that is not enough. */
export async function modulesLayer(parts: ModulesParts, request: ModulesRequest): Promise<Modules> {
  const question = await questionOf(parts, request);
  const plan = question === null ? ({ kind: 'none' } as const) : planModules(question);
  if (question === null || plan.kind === 'none') return NOTHING;
  if (plan.kind === 'npm') return byNpm(parts, request, question, plan);
  try {
    return await direct(parts, request, question, plan.packages);
  } catch (error) {
    if (!(error instanceof NeedsNpm)) throw error;
    const reasons = [error.message] as const;
    return byNpm(parts, request, question, { kind: 'npm', reasons, wholeSource: false, packages: plan.packages });
  }
}

/** What the source says of its packages; null when it needs none. */
async function questionOf(
  { lock }: ModulesParts,
  { definition, source, platform, base }: ModulesRequest,
): Promise<ModulesQuestion | null> {
  const text = (path: string) => textOf(source, path);
  const packageText = await text('package.json');
  if (packageText === null) return null;
  const packageJson = parsePackageJson(packageText);
  const lockText = (await text('npm-shrinkwrap.json')) ?? (await text('package-lock.json'));
  if (lockText === null) {
    if (!needsPackages(packageJson)) return null;
    throw noLock();
  }
  const { dependencies, installScripts } = definition;
  const target = {
    os: 'linux',
    cpu: platform === 'linux/arm64' ? 'arm64' : 'x64',
    libc: 'glibc',
    nodeVersion: base.nodeVersion,
    npmVersion: lock.npm.version,
  };
  const npmrc = parseNpmrc((await text('.npmrc')) ?? '');
  return { packageJson, lock: parseLockfile(lockText), npmrc, target, dependencies, installScripts };
}

async function direct(
  { layers, tarball, npm, prefix }: ModulesParts,
  { log, signal }: ModulesRequest,
  { npmrc, installScripts }: ModulesQuestion,
  packages: readonly PlannedPackage[],
): Promise<Modules> {
  const config = withProjectConfig(npm, npmrc);
  const runsScripts = installScripts === 'run' && npmrc['ignore-scripts'] !== 'true';
  const items = async () => {
    const fetch = (pkg: PlannedPackage) => tarball({ ...pkg, integrity: pkg.integrity ?? '' }, config, signal);
    const made = await modulesItems(packages, { tarball: fetch, prefix, runsScripts });
    refuseFilesAsFolders(made);
    return made;
  };
  const key = hashOfJson({ layer: 'modules', v: LAYER_VERSION, prefix, runsScripts, packages });
  const layer = await makeLayer(layers, { summary: 'node_modules', key, write: fromItems(items, signal) });
  log(`node_modules: ${packages.length} packages straight from the lock file, ${layer.size} bytes`);
  return { layer, materials: materialsOf(packages), isolation: 'none' };
}

async function byNpm(
  { layers, lock, prefix, npmCi, npm }: ModulesParts,
  { definition, source, platform, base, log, signal }: ModulesRequest,
  { npmrc }: ModulesQuestion,
  plan: Extract<ModulesPlan, { kind: 'npm' }>,
): Promise<Modules> {
  log(
    `node_modules: npm is needed, for ${plan.reasons.slice(0, 3).join('; ')}${plan.reasons.length > 3 ? ' ...' : ''}`,
  );
  const entries = source.entries.filter(
    ({ path }) => plan.wholeSource || /^(package|package-lock|npm-shrinkwrap)\.json$|^\.npmrc$/.test(path),
  );
  const job = {
    definition,
    entries,
    source,
    platform,
    base,
    config: withProjectConfig(npm, npmrc),
    prefix,
    log,
    signal,
  };
  const runner = npmCi.choose(plan.reasons);
  const key = hashOfJson({
    layer: 'npm-ci',
    v: LAYER_VERSION,
    prefix,
    entries: entries.map(({ path, mode, oid }) => [path, mode, oid]),
    npm: lock.npm.integrity,
    base: base.pin,
    platform,
    dependencies: definition.dependencies,
    installScripts: definition.installScripts,
    isolation: runner.isolation,
  });
  const layer = await makeLayer(layers, { summary: 'node_modules', key, write: (file) => runner.write(job, file) });
  log(`node_modules: by npm ${lock.npm.version} in the base image (${runner.isolation}), ${layer.size} bytes`);
  return { layer, materials: materialsOf(plan.packages), isolation: runner.isolation };
}

function materialsOf(packages: readonly PlannedPackage[]): Modules['materials'] {
  return packages.flatMap(({ name, version, integrity }) => {
    const hash = integrity === undefined ? null : parseIntegrity(integrity);
    if (hash === null) return [];
    const uri = `pkg:npm/${name.replace('@', '%40')}@${version}`;
    return [{ uri, digest: `${hash.algorithm}:${hash.hexes[0] ?? ''}` }];
  });
}

async function textOf(source: SourceTree, path: string): Promise<string | null> {
  const entry = source.entries.find((found) => found.path === path && found.mode !== '120000');
  return entry === undefined ? null : (await source.read(entry.oid)).toString('utf8');
}

function needsPackages(packageJson: ModulesQuestion['packageJson']): boolean {
  const { dependencies = {}, devDependencies = {}, optionalDependencies = {}, workspaces } = packageJson;
  return (
    [dependencies, devDependencies, optionalDependencies].some((names) => Object.keys(names).length > 0) ||
    workspaces !== undefined
  );
}

function noLock(): ArtifactError {
  return new ArtifactError({
    code: 'artifact.lock-missing',
    what: 'package.json has dependencies, and there is no package-lock.json beside it: the build would not be repeatable.',
    fix: 'Commit a package-lock.json (`npm install --package-lock-only`). For pnpm or Yarn use the dockerfile builder.',
  });
}
