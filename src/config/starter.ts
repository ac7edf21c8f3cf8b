import { Name } from '../lib/fields.ts';

/** What is known of a repository before Towpath has seen it: its files as git would take them in, and some texts. */
export interface Survey {
  /** The folder's own name. */
  readonly name: string;
  /** The branch that is merged to. */
  readonly branch: string;
  /** Paths with `/`, relative to the root. */
  readonly files: readonly string[];
  /** @returns the text of one of the files, or null when it cannot be read */
  readonly read: (path: string) => string | null;
}

export interface StarterService {
  readonly name: string;
  readonly path: string;
  readonly build: { readonly node: string | readonly string[] } | 'dockerfile';
  /** Null: it answers no requests, as far as its text tells. */
  readonly port: number | null;
  readonly health: string | null;
  /** The tests of the service, as a command that its image can run. */
  readonly test: string | null;
}

/** The beginning of a towpath.yaml, and what has to be looked at by a person. */
export interface Starter {
  readonly project: string;
  readonly branch: string;
  readonly services: readonly StarterService[];
  readonly notes: readonly string[];
}

/** No project that is described by one file has more; a repository of packages may have thousands of them. */
const MOST_SERVICES = 50;
const NO_SERVICE = /(?:^|\/)(?:node_modules|vendor|fixtures?|tests?|e2e|examples?|docs?|\.[^/]+)(?:\/|$)/;

/** Finds what can be built: a folder with a Dockerfile, or with a package.json whose program Node starts. */
export function planStarter(survey: Survey): Starter {
  const project = nameOf(survey.name, 'project');
  const has = new Set(survey.files);
  const folders = [
    ...new Set(
      survey.files.filter((file) => /(?:^|\/)(?:Dockerfile|package\.json)$/.test(file)).map((file) => folderOf(file)),
    ),
  ].filter((folder) => !NO_SERVICE.test(folder));
  const notes: string[] = [];
  const services: StarterService[] = [];
  for (const folder of folders.toSorted()) {
    const name = free(nameOf(folder === '.' ? project : (folder.split('/').at(-1) ?? ''), 'service'), services);
    const found = serviceIn({ ...survey, has, folder, name });
    if ('why' in found) notes.push(`${folder}: ${found.why}`);
    else if (services.length < MOST_SERVICES) services.push(found.service);
    else notes.push(`${folder}: left out, there are ${MOST_SERVICES} services already.`);
    if ('service' in found) notes.push(...found.notes.map((note) => `${name}: ${note}`));
  }
  return { project, branch: survey.branch, services, notes };
}

interface Place extends Survey {
  readonly has: ReadonlySet<string>;
  readonly folder: string;
  readonly name: string;
}

type Found = { readonly service: StarterService; readonly notes: readonly string[] } | { readonly why: string };

function serviceIn(place: Place): Found {
  const { name, folder } = place;
  const manifest = manifestOf(textAt(place, 'package.json'));
  const dockerfile = textAt(place, 'Dockerfile');
  if (dockerfile !== null) {
    const [, exposed] = /^\s*EXPOSE\s+(\d{1,5})/im.exec(dockerfile) ?? [];
    const port = exposed === undefined ? null : Number(exposed);
    const notes = port === null ? ['its Dockerfile has no EXPOSE: give `port` if it listens.'] : [];
    return { service: { name, path: folder, build: 'dockerfile', port, health: null, test: null }, notes };
  }
  const start = startOf(place, manifest);
  if (start === null)
    return { why: 'has a package.json, and nothing in it that Node alone starts (`scripts.start`, `main`).' };
  const program = textAt(place, start.file) ?? '';
  const listens = /\bPORT\b|\.listen\(/.test(program);
  const [, health = null] = /["'`](\/(?:health|healthz|ready|readyz|livez)[a-z/]*)["'`]/.exec(program) ?? [];
  const notes = [
    ...(listens && !/\bPORT\b/.test(program) ? ['it has to listen on the port that `PORT` names.'] : []),
    ...(needsLock(manifest) && !isIn(place, 'package-lock.json') && !isIn(place, 'npm-shrinkwrap.json')
      ? ['it has dependencies and no package-lock.json: run `npm install` there and commit it.']
      : []),
  ];
  return {
    service: {
      name,
      path: folder,
      build: { node: start.command },
      port: listens ? 3000 : null,
      health: listens ? health : null,
      test: testOf(manifest.scripts?.['test']),
    },
    notes,
  };
}

interface Manifest {
  readonly main?: unknown;
  readonly scripts?: Readonly<Record<string, unknown>>;
  readonly dependencies?: unknown;
  readonly devDependencies?: unknown;
}

/** A package.json may hold anything: what is no object is an empty one. */
function manifestOf(text: string | null): Manifest {
  const record = (value: unknown): Record<string, unknown> =>
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  try {
    const value = record(JSON.parse(text ?? '{}'));
    return { ...value, scripts: record(value['scripts']) };
  } catch {
    return {};
  }
}

const USUAL = [
  'server.js',
  'index.js',
  'app.js',
  'main.js',
  'src/server.js',
  'src/index.js',
  'src/app.js',
  'src/main.js',
];

function startOf(
  place: Place,
  { main, scripts }: Manifest,
): { readonly file: string; readonly command: string | readonly string[] } | null {
  const words = typeof scripts?.['start'] === 'string' ? scripts['start'].trim().split(/\s+/) : [];
  const file = words
    .slice(1)
    .find((word) => !word.startsWith('-'))
    ?.replace(/^\.\//, '');
  if (words[0] === 'node' && file !== undefined && isIn(place, file)) {
    const isPlain = words.length === 2;
    return { file, command: isPlain ? file : words };
  }
  if (words.length > 0) return null;
  const usual = [...(typeof main === 'string' ? [main.replace(/^\.\//, '')] : []), ...USUAL];
  const found = usual.find((one) => isIn(place, one));
  return found === undefined ? null : { file: found, command: found };
}

/** Runners that are in the image with the other dependencies; npm is not. */
const RUNNERS: Readonly<Record<string, string>> = {
  vitest: 'node node_modules/vitest/vitest.mjs run',
  jest: 'node node_modules/jest/bin/jest.js',
  mocha: 'node node_modules/mocha/bin/mocha.js',
};

function testOf(script: unknown): string | null {
  if (typeof script !== 'string' || !/^[\w ./=:@-]+$/.test(script)) return null;
  const [program = '', ...rest] = script.trim().split(/\s+/);
  if (program === 'node') return script.trim();
  const runner = Object.hasOwn(RUNNERS, program) ? RUNNERS[program] : undefined;
  return runner === undefined ? null : [runner, ...rest.filter((word) => word !== 'run')].join(' ');
}

function needsLock({ dependencies, devDependencies }: Manifest): boolean {
  return [dependencies, devDependencies].some(
    (some) => typeof some === 'object' && some !== null && Object.keys(some).length > 0,
  );
}

/** The file as git has it, with its comments: what is in force and what is usual next. */
export function writeStarter({ project, branch, services }: Starter): string {
  const blocks = services.flatMap(({ name, path, build, port, health, test }) => [
    `  ${name}:`,
    `    path: ${word(path)}`,
    `    build: ${build === 'dockerfile' ? '{ dockerfile: {} }' : `{ node: { start: ${command(build.node)} } }`}`,
    ...(port === null ? [] : [`    port: ${port}`]),
    ...(health === null ? [] : [`    health: ${word(health)}`]),
    ...(test === null ? [] : ['    checks:', `      unit: { run: ${word(test)}, during: build }`]),
  ]);
  const driver = services.some(({ build }) => build === 'dockerfile') ? 'docker' : 'process';
  return [
    `project: ${project}`,
    'services:                     # each is built on its own, and anew only when its folder changes',
    ...blocks,
    'environments:                 # in the order of the path',
    `  preview: { on: { branch: "feature/*" }, ephemeral: { ttl: 14d }, deploy: ${driver} }`,
    `  qa:      { on: { merge: ${word(branch)} }, deploy: ${driver} }`,
    `  prod:    { on: { tag: "v*" }, from: qa, deploy: ${driver} }`,
    '',
  ].join('\n');
}

function command(node: string | readonly string[]): string {
  return typeof node === 'string' ? word(node) : `[${node.map(word).join(', ')}]`;
}

/** JSON is YAML: what is more than a plain word is written as a string of it. */
function word(text: string): string {
  return /^[A-Za-z_/][A-Za-z0-9_./-]*$/.test(text) && !/^(?:true|false|null|y|n|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text);
}

function textAt(place: Place, file: string): string | null {
  return isIn(place, file) ? place.read(pathIn(place.folder, file)) : null;
}

function isIn({ has, folder }: Place, file: string): boolean {
  return has.has(pathIn(folder, file));
}

function pathIn(folder: string, file: string): string {
  return folder === '.' ? file : `${folder}/${file}`;
}

function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.lastIndexOf('/')) : '.';
}

/** A name of ours that is nearest to one of theirs. */
function nameOf(text: string, otherwise: string): string {
  const parts = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  const name = parts
    .join('-')
    .replace(/^[0-9-]+/, '')
    .slice(0, 36)
    .replace(/-$/, '');
  return Name.safeParse(name).success ? name : otherwise;
}

function free(name: string, taken: readonly StarterService[]): string {
  const isFree = (one: string): boolean => !taken.some((service) => service.name === one);
  let number = 2;
  let free = name;
  while (!isFree(free)) free = `${name}-${number++}`;
  return free;
}
