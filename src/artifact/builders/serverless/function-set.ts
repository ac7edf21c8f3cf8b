import type { SourceTree } from '../../../git/tree.ts';
import { ArtifactError } from '../../artifact-error.ts';
import type { NpmSettings } from '../node/definition.ts';
import { Handler, type ServerlessDefinition } from './definition.ts';
import { readServerlessFile, type ServerlessFile } from './serverless-file.ts';

/** The functions of one service, and what of its files goes into which zip. */
export interface FunctionSet {
  readonly npm: NpmSettings;
  readonly zips: readonly PlannedZip[];
  /** The file of the framework that was read. */
  readonly file: string | null;
}

export interface PlannedZip {
  /** For people: `functions.zip`, or the name of the only function in it. */
  readonly title: string;
  /** Function -> handler. */
  readonly handlers: Readonly<Record<string, string>>;
  /** In their order, the last that matches decides; one that begins with `!` leaves out. */
  readonly patterns: readonly string[];
}

const CUSTOMARY = ['serverless.yml', 'serverless.yaml', 'serverless.json'];

/** What osls leaves out unless a pattern brings it back. */
const LEFT_OUT = [
  '.git/**',
  '.gitignore',
  '.DS_Store',
  'npm-debug.log',
  'yarn-*.log',
  '.serverless/**',
  '.serverless_plugins/**',
];

/** Plugins that do not touch what is packaged. */
const HARMLESS = new Set([
  'serverless-offline',
  'serverless-domain-manager',
  'serverless-prune-plugin',
  'serverless-iam-roles-per-function',
  'serverless-step-functions',
]);

/** What osls takes where its file names no runtime. */
const FILE_DEFAULT = 'nodejs24.x';

/** @throws ArtifactError for functions that are not there, or that only the framework could package */
export async function functionSet(
  definition: ServerlessDefinition,
  source: SourceTree,
  platform?: string,
): Promise<FunctionSet> {
  const { dependencies, installScripts, functions, ignorePlugins } = definition;
  if (functions !== undefined) {
    const handlers = Object.fromEntries(Object.entries(functions).map(([name, { handler }]) => [name, handler]));
    return {
      npm: { node: definition.node ?? '22', dependencies, installScripts },
      zips: [{ title: 'functions.zip', handlers, patterns: leftOut(CUSTOMARY) }],
      file: null,
    };
  }
  const path = fileIn(source, definition.config);
  const entry = source.entries.find((one) => one.path === path && one.mode !== '120000');
  if (path === undefined || entry === undefined) throw noFunctions(definition.config);
  const file = readServerlessFile((await source.read(entry.oid)).toString('utf8'), path);
  refusePlugins(file.plugins, ignorePlugins, path);
  refuseHandlers(file, path);
  if (platform !== undefined) refuseArchitecture(file.architecture, platform, path);
  const { patterns, excludesDevDependencies, pluginsFolder, usesDotenv } = file;
  const base = [
    ...leftOut([path, pluginsFolder, `${pluginsFolder}/**`, ...(usesDotenv ? ['.env*'] : [])]),
    ...patterns,
  ];
  const shared = file.functions.filter(({ individually }) => !individually);
  const zips = [
    ...(shared.length === 0 ? [] : [{ title: 'functions.zip', handlers: handlersOf(shared), patterns: base }]),
    ...file.functions
      .filter(({ individually }) => individually)
      .map((one) => ({
        title: `${one.name}.zip`,
        handlers: handlersOf([one]),
        patterns: [...base, ...one.patterns],
      })),
  ];
  for (const pattern of zips.flatMap((zip) => zip.patterns)) refusePattern(pattern, path);
  return {
    npm: {
      node: nodeLine(definition.node, file.runtime, path),
      dependencies: excludesDevDependencies ? dependencies : 'all',
      installScripts,
    },
    zips,
    file: path,
  };
}

function fileIn({ entries }: SourceTree, config: string | undefined): string | undefined {
  return config ?? CUSTOMARY.find((name) => entries.some(({ path }) => path === name));
}

function leftOut(more: readonly string[]): string[] {
  return [...LEFT_OUT, ...more].map((pattern) => `!${pattern}`);
}

function handlersOf(functions: ServerlessFile['functions']): Record<string, string> {
  return Object.fromEntries(functions.map(({ name, handler }) => [name, handler]));
}

function nodeLine(
  asked: NpmSettings['node'] | undefined,
  runtime: string | undefined,
  path: string,
): NpmSettings['node'] {
  const line = /^nodejs(20|22|24)\.x$/.exec(runtime ?? (asked === undefined ? FILE_DEFAULT : `nodejs${asked}.x`))?.[1];
  if (line !== undefined && (asked === undefined || asked === line)) return line as NpmSettings['node'];
  throw new ArtifactError({
    code: 'artifact.serverless-runtime',
    what:
      line === undefined
        ? `${path} names the runtime ${JSON.stringify(runtime)}; functions are packaged for nodejs20.x, nodejs22.x and nodejs24.x.`
        : `${path} names the runtime nodejs${line}.x, and towpath.yaml says \`node: "${asked}"\`.`,
    fix: 'Let both name the same line of Node, or build an image with the dockerfile builder.',
  });
}

function refuseArchitecture(architecture: string | undefined, platform: string, path: string): void {
  const here = platform === 'linux/arm64' ? 'arm64' : 'x86_64';
  if (architecture === undefined || architecture === here) return;
  throw new ArtifactError({
    code: 'artifact.serverless-architecture',
    what: `${path} names the architecture ${architecture}, and this server builds for ${here}.`,
    fix: `Write \`architecture: ${here}\`, or run a worker on a machine of the other kind.`,
  });
}

function refusePlugins(plugins: readonly string[], ignored: readonly string[], path: string): void {
  const unknown = plugins.find((name) => !HARMLESS.has(name) && !ignored.includes(name));
  if (unknown === undefined) return;
  throw new ArtifactError({
    code: 'artifact.serverless-plugin',
    what: `${path} names the plugin ${unknown}, and plugins are not run: it might change what is packaged.`,
    fix: `If it does not, write \`ignorePlugins: [${unknown}]\` in the build section. What must be bundled is built before it is pushed.`,
  });
}

function refuseHandlers({ functions }: ServerlessFile, path: string): void {
  const wrong = functions.find(({ handler }) => !Handler.safeParse(handler).success);
  if (wrong === undefined) return;
  throw new ArtifactError({
    code: 'artifact.serverless-malformed',
    what: `${path} cannot be used (functions.${wrong.name}.handler: ${JSON.stringify(wrong.handler)} is not a file and what it exports).`,
    fix: 'Write it as src/thumbnail.handler.',
  });
}

function refusePattern(pattern: string, path: string): void {
  const plain = pattern.replace(/^!/, '');
  if (!/[()]|^\/|^!/.test(plain) && !plain.split('/').includes('..')) return;
  throw new ArtifactError({
    code: 'artifact.serverless-unsupported',
    what: `${path} has the pattern ${JSON.stringify(pattern)}: it reaches out of the service, or has a form that is not known here.`,
    fix: 'Use `*`, `**`, `?`, `[a-z]`, `{one,two}` and a leading `!`, from the folder of the service.',
  });
}

function noFunctions(config: string | undefined): ArtifactError {
  return new ArtifactError({
    code: 'artifact.no-functions',
    what:
      config === undefined
        ? 'The service has no serverless.yml, and its build section names no functions.'
        : `The service has no ${config}.`,
    fix: 'Add the file, or write `build: { serverless: { functions: { thumbnail: { handler: src/thumbnail.handler } } } }`.',
  });
}
