import { posix } from 'node:path';

import { copiedIn, findImages } from '../../artifact/builders/dockerfile/dockerfile.ts';
import type { ComposeBuild } from './compose.ts';
import { foreignIn, foreignNotes, type Found, isBelow, pathIn, type Place, type Survey, textAt } from './survey.ts';

/** A Dockerfile with its context. @param bases folders whose images other Dockerfiles name: folder -> name */
export function dockerfileService(
  place: Place,
  bases: ReadonlyMap<string, string>,
  compose: ComposeBuild | null,
): Found {
  const { name, folder } = place;
  const file = compose?.file ?? 'Dockerfile';
  const dockerfile = textAt(place, file) ?? '';
  const isBase = bases.has(folder);
  const names = new Set(bases.values());
  const from = [...new Set(imagesOf(dockerfile).filter((image) => names.has(image)))];
  const [, exposed] = /^\s*EXPOSE\s+(\d{1,5})/im.exec(dockerfile) ?? [];
  const port = isBase ? null : exposed === undefined ? (compose?.port ?? null) : Number(exposed);
  const foreign = foreignIn(place);
  const absent = copiedIn(dockerfile).filter((path) => !isInGit(place, path));
  const notes = [
    ...(port === null && !isBase ? ['its Dockerfile has no EXPOSE: give `port` if it listens.'] : []),
    ...(absent.length === 0
      ? []
      : [
          `its Dockerfile copies ${absent.join(', ')}, which git does not have: make it in the Dockerfile, or tell what your CI built (\`towpath artifact report\`).`,
        ]),
    ...(compose?.notes ?? []),
    ...(foreign.length === 0
      ? []
      : [
          `name ${foreign.join(', ')} in its .dockerignore: submodules and files of Git LFS are not in the repository itself.`,
        ]),
  ];
  const build = { kind: 'dockerfile', file, from, isBase } as const;
  return { service: { name, path: folder, build, port, health: null, test: null }, notes };
}

/** What a glob or a variable names nobody can tell from here. */
function isInGit({ files, folder, submodules }: Place, path: string): boolean {
  if (/[*?[$]/.test(path)) return true;
  const inside = posix.normalize(path).replace(/^\/+|\/+$/g, '');
  const whole = pathIn(folder, inside);
  return (
    inside === '.' || inside === '' || [...files, ...submodules].some((one) => one === whole || isBelow(one, whole))
  );
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
