import { compileGlob } from '../../lib/glob.ts';
import {
  foreignIn,
  foreignNotes,
  type Found,
  isBelow,
  isIn,
  pathIn,
  type Place,
  type StarterService,
  textAt,
} from './survey.ts';

export interface Manifest {
  readonly name?: unknown;
  readonly main?: unknown;
  readonly workspaces?: unknown;
  readonly scripts?: Readonly<Record<string, unknown>>;
  readonly dependencies?: unknown;
  readonly devDependencies?: unknown;
}

/** A package.json may hold anything: what is no object is an empty one. */
export function manifestOf(text: string | null): Manifest {
  const record = (value: unknown): Record<string, unknown> =>
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  try {
    const value = record(JSON.parse(text ?? '{}'));
    return { ...value, scripts: record(value['scripts']) };
  } catch {
    return {};
  }
}

/** The packages of npm workspaces: their folders by name. Empty where there are none. */
export type Workspaces = ReadonlyMap<string, string>;

export function workspacesOf(place: Omit<Place, 'folder' | 'name'>): Workspaces {
  const root = manifestOf(place.has.has('package.json') ? place.read('package.json') : null);
  const listed = Array.isArray(root.workspaces)
    ? root.workspaces
    : ((root.workspaces as { packages?: unknown } | undefined)?.packages ?? []);
  const globs = (Array.isArray(listed) ? listed : []).flatMap((one: unknown) => (typeof one === 'string' ? [one] : []));
  if (globs.length === 0 || !(place.has.has('package-lock.json') || place.has.has('npm-shrinkwrap.json')))
    return new Map();
  const matchers = globs.map((glob) => compileGlob(glob, 'file'));
  const folders = place.files
    .filter((file) => file.endsWith('/package.json'))
    .map((file) => file.slice(0, -'/package.json'.length))
    .filter((folder) => matchers.some((matches) => matches(folder)));
  return new Map(folders.map((folder) => [packageName(place, folder), folder]));
}

function packageName(place: Pick<Place, 'read'>, folder: string): string {
  const { name } = manifestOf(place.read(`${folder}/package.json`));
  return typeof name === 'string' ? name : folder;
}

/** A package.json whose program Node starts. */
export function nodeService(place: Place, workspaces: Workspaces): Found {
  const { name, folder } = place;
  const manifest = manifestOf(textAt(place, 'package.json'));
  const isMember = [...workspaces.values()].includes(folder);
  const start = startOf(place, manifest, isMember);
  if (start === null) {
    if (isMember || (folder === '.' && workspaces.size > 0)) return { why: null }; // packages that others import
    return { why: 'has a package.json, and nothing in it that Node alone starts (`scripts.start`, `main`).' };
  }
  const program = textAt(place, start.file) ?? '';
  const listens = /\bPORT\b|\.listen\(/.test(program);
  const [, health = null] = /["'`](\/(?:health|healthz|ready|readyz|livez)[a-z/]*)["'`]/.exec(program) ?? [];
  const hasLock = isMember || isIn(place, 'package-lock.json') || isIn(place, 'npm-shrinkwrap.json');
  const path = isMember ? '.' : folder;
  const parts = isMember ? closureOf(place, workspaces, folder) : ['.'];
  const exclude = foreignIn({ ...place, folder: path }).filter((glob) =>
    glob.startsWith('**') ? true : parts.some((part) => isBelow(glob, part)),
  );
  const test = testOf(place, manifest.scripts?.['test'], isMember);
  const service: StarterService = {
    name,
    path,
    build: {
      kind: 'node',
      start: isMember ? inMember(start.command, start.file, folder) : start.command,
      include: isMember ? [...parts, '**/package.json'] : [],
      exclude,
    },
    port: listens ? 3000 : null,
    health: listens ? health : null,
    test,
  };
  const notes = [
    ...(listens && !/\bPORT\b/.test(program) ? ['it has to listen on the port that `PORT` names.'] : []),
    ...(needsLock(manifest) && !hasLock
      ? ['it has dependencies and no package-lock.json: run `npm install` there and commit it.']
      : []),
    ...foreignNotes(exclude),
  ];
  return { service, notes };
}

/** The folder of a workspace, and of those that it imports. */
function closureOf(place: Place, workspaces: Workspaces, folder: string): string[] {
  const found = new Set([folder]);
  for (const one of found) {
    const { dependencies, devDependencies } = manifestOf(place.read(`${one}/package.json`));
    for (const name of [dependencies, devDependencies].flatMap((names) => Object.keys(names ?? {}))) {
      const other = workspaces.get(name);
      if (other !== undefined) found.add(other);
    }
  }
  return [...found];
}

function inMember(command: string | readonly string[], file: string, folder: string): string | readonly string[] {
  if (typeof command === 'string') return `${folder}/${command}`;
  return command.map((part) => (part.replace(/^\.\//, '') === file ? `${folder}/${file}` : part));
}

const USUAL = ['server', 'index', 'app', 'main'].flatMap((name) => [`${name}.js`, `src/${name}.js`]);

function startOf(
  place: Place,
  { main, scripts }: Manifest,
  isMember: boolean,
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
  const mayBeImported = isMember || (/\/?packages?\//.test(`${place.folder}/`) && typeof main === 'string');
  const usual = [...(typeof main === 'string' ? [main.replace(/^\.\//, '')] : []), ...USUAL];
  const found = usual.find((one) => isIn(place, one));
  if (found === undefined) return null;
  // a package that is imported has a `main` or an index.js too: it is started only where it looks like a program
  if (mayBeImported && !/\bPORT\b|\.listen\(|setInterval\(/.test(textAt(place, found) ?? '')) return null;
  return { file: found, command: found };
}

/** Runners that are in the image with the other dependencies; npm is not. */
const RUNNERS: Readonly<Record<string, string>> = {
  vitest: 'node node_modules/vitest/vitest.mjs run',
  jest: 'node node_modules/jest/bin/jest.js',
  mocha: 'node node_modules/mocha/bin/mocha.js',
};

function testOf(place: Place, script: unknown, isMember: boolean): StarterService['test'] {
  if (typeof script !== 'string' || !/^[\w ./=:@-]+$/.test(script)) return null;
  const [program = '', ...rest] = script.trim().split(/\s+/);
  if (isMember) return program === 'node' && rest.includes('--test') ? memberTest(place, rest) : null;
  if (program === 'node') return { run: script.trim() };
  const runner = Object.hasOwn(RUNNERS, program) ? RUNNERS[program] : undefined;
  return runner === undefined ? null : { run: [runner, ...rest.filter((word) => word !== 'run')].join(' ') };
}

/** In a workspace tests are found from the root, so they are named in full. */
function memberTest({ files, folder }: Place, words: readonly string[]): StarterService['test'] {
  const tests = files.filter((file) => isBelow(file, pathIn(folder, 'test')));
  const ending = tests.flatMap((file) => /\.test\.[cm]?[jt]s$/.exec(file)?.[0] ?? [])[0];
  if (ending === undefined || words.some((word) => !word.startsWith('-'))) return null;
  return { run: ['node', ...words, `${folder}/test/*${ending}`], mount: `${folder}/test` };
}

function needsLock({ dependencies, devDependencies }: Manifest): boolean {
  return [dependencies, devDependencies].some(
    (some) => typeof some === 'object' && some !== null && Object.keys(some).length > 0,
  );
}
