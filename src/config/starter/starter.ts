import { Name } from '../../lib/fields.ts';
import { type ComposeBuild, composeIn } from './compose.ts';
import { nodeService, workspacesOf } from './node-service.ts';
import { basesOf, dockerfileService, manifestsIn, serverlessService } from './other-services.ts';
import { folderOf, type Found, isIn, pathIn, type Place, type StarterService, type Survey } from './survey.ts';

/** The beginning of a towpath.yaml, and what has to be looked at by a person. */
export interface Starter {
  readonly project: string;
  readonly branch: string;
  /** Globs: of the branches that get a preview, and of the tags that go to production. */
  readonly previews: string;
  readonly tags: string;
  readonly driver: 'docker' | 'process';
  readonly services: readonly StarterService[];
  readonly notes: readonly string[];
}

/** No project that is described by one file has more; a repository of packages may have thousands of them. */
const MOST_SERVICES = 50;
const NO_SERVICE = /(?:^|\/)(?:node_modules|vendor|fixtures?|tests?|e2e|examples?|docs?|\.[^/]+)(?:\/|$)/;
const SIGNS = /(?:^|\/)(?:Dockerfile|package\.json|serverless\.(?:ya?ml|json))$/;

/** Finds what can be built: a folder with a Dockerfile, with functions, or with a package.json whose program Node starts. */
export function planStarter(survey: Survey): Starter {
  const project = nameOf(survey.name, 'project');
  const has = new Set(survey.files);
  const found = [...new Set(survey.files.filter((file) => SIGNS.test(file)).map((file) => folderOf(file)))].filter(
    (folder) => !NO_SERVICE.test(folder),
  );
  const workspaces = workspacesOf({ ...survey, has });
  const called = (folder: string) => nameOf(folder === '.' ? project : tellingPart(folder), 'service');
  const dockerfiles = found.filter((folder) => has.has(pathIn(folder, 'Dockerfile')));
  const bases = basesOf(dockerfiles, called, survey);
  const compose = composeIn(survey);
  const built = new Set(compose.builds.map(({ folder, file }) => pathIn(folder, file)));
  const candidates: readonly Candidate[] = [
    ...compose.builds.map((build) => ({ folder: build.folder, name: nameOf(build.name, 'service'), build })),
    ...found
      .filter((folder) => !built.has(pathIn(folder, 'Dockerfile')))
      .map((folder) => ({ folder, name: called(folder), build: null })),
  ];
  const serviceOf = (place: Place, build: ComposeBuild | null): Found => {
    if (build !== null || isIn(place, 'Dockerfile')) return dockerfileService(place, bases, build);
    if (['serverless.yml', 'serverless.yaml', 'serverless.json'].some((file) => isIn(place, file)))
      return serverlessService(place);
    return nodeService(place, workspaces);
  };
  const notes: string[] = [];
  const services: StarterService[] = [];
  const leftOut: string[] = [];
  // a base keeps the name that Dockerfiles call it by
  const inOrder = candidates.toSorted(
    ({ folder: one }, { folder: other }) =>
      Number(bases.has(other)) - Number(bases.has(one)) || (one < other ? -1 : one > other ? 1 : 0),
  );
  for (const { folder, name: wanted, build } of inOrder) {
    const name = free(bases.get(folder) ?? wanted, folder, services);
    const seen = serviceOf({ ...survey, has, folder, name }, build);
    if ('why' in seen) notes.push(...(seen.why === null ? [] : [`${folder}: ${seen.why}`]));
    else if (services.length === MOST_SERVICES) leftOut.push(folder);
    else {
      services.push(seen.service);
      notes.push(...seen.notes.map((note) => `${name}: ${note}`));
    }
  }
  if (leftOut.length > 0)
    notes.push(
      `${leftOut.length} more folders are left out, from ${leftOut[0]} on: ${MOST_SERVICES} services are written.`,
    );
  if (compose.others.length > 0)
    notes.push(
      `${compose.file}: ${compose.others.join(', ')} stay yours to run, and \`config\` of an environment tells services where; or let \`deploy: compose\` run them beside the release.`,
    );
  for (const { folder, kind } of manifestsIn(survey))
    notes.push(`${folder}: ${kind}; what rolls it out today goes on doing so, for no environment here does.`);
  const hasImages = services.some(({ build }) => build.kind === 'dockerfile');
  return {
    project,
    branch: survey.branch,
    previews: previewsOf(survey),
    tags: tagsOf(survey.tags),
    driver: hasImages && survey.docker ? 'docker' : 'process',
    services,
    notes,
  };
}

/** What may be built: an image of a compose file, or a folder. */
interface Candidate {
  readonly folder: string;
  readonly name: string;
  readonly build: ComposeBuild | null;
}

/** As branches are called here: the first part that most of them share. */
function previewsOf({ branch, branches }: Survey): string {
  const counts = new Map<string, number>();
  for (const name of branches) {
    const [, prefix] = /^([A-Za-z][A-Za-z0-9_-]*)\/./.exec(name) ?? [];
    if (prefix === undefined || name === branch || /^(dependabot|renovate|release|hotfix|revert-.*)$/.test(prefix))
      continue;
    counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
  }
  const [most] = [...counts].toSorted(([one, a], [other, b]) => b - a || (one < other ? -1 : 1));
  return `${most?.[0] ?? 'feature'}/*`;
}

/** As versions are called here. */
function tagsOf(tags: readonly string[]): string {
  const forms: readonly [RegExp, string][] = [
    [/^v\d/, 'v*'],
    [/^release-\d/, 'release-*'],
    [/^release\/\d/, 'release/*'],
    [/^\d+\./, '[0-9]*'],
  ];
  const counted = forms.map(([pattern, glob]) => ({ glob, count: tags.filter((tag) => pattern.test(tag)).length }));
  return counted.toSorted((one, other) => other.count - one.count)[0]?.glob ?? 'v*';
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

/** The last part of a path that says which of many it is. */
function tellingPart(folder: string): string {
  const parts = folder.split('/');
  return parts.findLast((part) => !/^(?:src|docker|build)$/.test(part)) ?? folder;
}

/** The name, or one with more of the folder's path before it, or with a number. */
function free(name: string, folder: string, taken: readonly StarterService[]): string {
  const isFree = (one: string): boolean => !taken.some((service) => service.name === one);
  const longer = nameOf(folder.split('/').slice(-2).join('-'), name);
  let number = 2;
  let free = isFree(name) ? name : longer;
  while (!isFree(free)) free = `${name}-${number++}`;
  return free;
}
