import { parse } from 'yaml';

import { findImages } from '../../artifact/builders/dockerfile/dockerfile.ts';
import { foreignIn, foreignNotes, type Found, pathIn, type Place, type Survey, textAt } from './survey.ts';

/** A folder with a Dockerfile. @param bases folders whose images other Dockerfiles name: folder -> name */
export function dockerfileService(
  place: Place,
  bases: ReadonlyMap<string, string>,
  ports: ReadonlyMap<string, number>,
): Found {
  const { name, folder } = place;
  const dockerfile = textAt(place, 'Dockerfile') ?? '';
  const isBase = bases.has(folder);
  const names = new Set(bases.values());
  const from = [...new Set(imagesOf(dockerfile).filter((image) => names.has(image)))];
  const [, exposed] = /^\s*EXPOSE\s+(\d{1,5})/im.exec(dockerfile) ?? [];
  const port = isBase ? null : exposed === undefined ? (ports.get(folder) ?? null) : Number(exposed);
  const foreign = foreignIn(place);
  const notes = [
    ...(port === null && !isBase ? ['its Dockerfile has no EXPOSE: give `port` if it listens.'] : []),
    ...(foreign.length === 0
      ? []
      : [
          `name ${foreign.join(', ')} in its .dockerignore: submodules and files of Git LFS are not in the repository itself.`,
        ]),
  ];
  const build = { kind: 'dockerfile', from, isBase } as const;
  return { service: { name, path: folder, build, port, health: null, test: null }, notes };
}

/** Folders whose images Dockerfiles of this repository name without a tag. */
export function basesOf(
  folders: readonly string[],
  nameOf: (folder: string) => string,
  { read }: Survey,
): Map<string, string> {
  const named = new Set(folders.flatMap((folder) => imagesOf(read(pathIn(folder, 'Dockerfile')) ?? '')));
  return new Map(folders.map((folder) => [folder, nameOf(folder)] as const).filter(([, name]) => named.has(name)));
}

function imagesOf(dockerfile: string): string[] {
  try {
    return findImages(dockerfile, {}).map(({ reference }) => reference);
  } catch {
    return []; // what is wrong in it the build says
  }
}

export function serverlessService(place: Place): Found {
  const exclude = foreignIn(place);
  const build = { kind: 'serverless', exclude } as const;
  const service = { name: place.name, path: place.folder, build, port: null, health: null, test: null };
  return { service, notes: foreignNotes(exclude) };
}

const COMPOSE = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'];

/** What a compose file says of services that are built here: folder -> the port that it listens on; and the names of others. */
export function composeIn({ files, read }: Survey): {
  readonly file: string | null;
  readonly ports: ReadonlyMap<string, number>;
  readonly others: readonly string[];
} {
  const file = COMPOSE.find((name) => files.includes(name)) ?? null;
  const ports = new Map<string, number>();
  const others: string[] = [];
  for (const [name, service] of Object.entries(record(record(file === null ? {} : yamlOf(read(file)))['services']))) {
    const { build, ports: published, expose } = record(service);
    const context = typeof build === 'string' ? build : record(build)['context'];
    if (typeof context !== 'string') others.push(name);
    else {
      const [first] = [published, expose].flatMap((some) => (Array.isArray(some) ? some : []));
      const port = Number(/(\d+)(?:\/tcp)?$/.exec(String(record(first)['target'] ?? first))?.[1]);
      if (port > 0 && port < 65_536) ports.set(context.replace(/^\.\/|\/+$/g, '') || '.', port);
    }
  }
  return { file, ports, others };
}

/** Folders of manifests that something else rolls out, each with its kind. */
export function manifestsIn({ files }: Survey): { readonly folder: string; readonly kind: string }[] {
  const kinds: readonly [RegExp, string][] = [
    [/(^|\/)Chart\.yaml$/, 'a Helm chart'],
    [/(^|\/)kustomization\.ya?ml$/, 'Kustomize'],
  ];
  return kinds.flatMap(([pattern, kind]) =>
    [...new Set(files.filter((file) => pattern.test(file)).map((file) => file.replace(/\/?[^/]+$/, '') || '.'))]
      .slice(0, 3)
      .map((folder) => ({ folder, kind })),
  );
}

function yamlOf(text: string | null): unknown {
  try {
    return parse(text ?? '', { logLevel: 'silent', maxAliasCount: 100 });
  } catch {
    return {};
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
