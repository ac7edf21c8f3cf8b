import { Name } from '../../lib/fields.ts';
import { nodeService, workspacesOf } from './node-service.ts';
import { basesOf, composeIn, dockerfileService, manifestsIn, serverlessService } from './other-services.ts';
import { folderOf, type Found, type Place, type StarterService, type Survey } from './survey.ts';

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
  const called = (folder: string) => nameOf(folder === '.' ? project : (folder.split('/').at(-1) ?? ''), 'service');
  const dockerfiles = found.filter((folder) => has.has(folder === '.' ? 'Dockerfile' : `${folder}/Dockerfile`));
  const bases = basesOf(dockerfiles, called, survey);
  const compose = composeIn(survey);
  const serviceIn = (place: Place): Found => {
    const own = (file: string) => has.has(place.folder === '.' ? file : `${place.folder}/${file}`);
    if (own('Dockerfile')) return dockerfileService(place, bases, compose.ports);
    if (['serverless.yml', 'serverless.yaml', 'serverless.json'].some(own)) return serverlessService(place);
    return nodeService(place, workspaces);
  };
  const notes: string[] = [];
  const services: StarterService[] = [];
  // a base keeps the name that Dockerfiles call it by
  const folders = found.toSorted(
    (one, other) => Number(bases.has(other)) - Number(bases.has(one)) || (one < other ? -1 : 1),
  );
  for (const folder of folders) {
    const name = free(called(folder), services);
    const seen = serviceIn({ ...survey, has, folder, name });
    if ('why' in seen) notes.push(...(seen.why === null ? [] : [`${folder}: ${seen.why}`]));
    else if (services.length < MOST_SERVICES) services.push(seen.service);
    else notes.push(`${folder}: left out, there are ${MOST_SERVICES} services already.`);
    if ('service' in seen) notes.push(...seen.notes.map((note) => `${name}: ${note}`));
  }
  if (compose.others.length > 0)
    notes.push(
      `${compose.file}: ${compose.others.join(', ')} stay yours to run; \`config\` of an environment tells services where.`,
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

function free(name: string, taken: readonly StarterService[]): string {
  const isFree = (one: string): boolean => !taken.some((service) => service.name === one);
  let number = 2;
  let free = name;
  while (!isFree(free)) free = `${name}-${number++}`;
  return free;
}
