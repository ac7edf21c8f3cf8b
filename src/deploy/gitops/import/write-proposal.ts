import { parseReference } from '../../../registry/reference.ts';
import type { KnownProject } from './match-services.ts';
import type { ProposedEnvironment, ProposedPlace, Proposal } from './proposal.ts';

export interface WrittenFor {
  readonly repository: string;
  readonly credential: string | null;
  readonly branches: readonly { readonly branch: string; readonly commit: string }[];
  /** Null: there is no towpath.yaml, and what is written is a whole one. */
  readonly known: KnownProject | null;
  /** Of a new towpath.yaml. */
  readonly project: string;
}

/** The mapping as a piece of towpath.yaml, with what people have to look at as comments. */
export function writeProposal(proposal: Proposal, written: WrittenFor): string {
  const { known, branches, repository, project } = written;
  const at = branches.map(({ branch, commit }) => `${branch} ${commit.slice(0, 12)}`).join(', ');
  return [
    `# What \`towpath gitops import\` saw in ${oneLine(repository)} (${oneLine(at)}). Look at each line.`,
    ...(known === null ? [`project: ${project}`, ...services(proposal)] : []),
    'environments:',
    ...(proposal.isOnlyGuess ? ['  # nothing in the repository names an environment: correct the name'] : []),
    ...proposal.environments.flatMap((environment) => environmentLines(environment, written)),
    '',
  ].join('\n');
}

function services({ environments }: Proposal): string[] {
  const images = new Map<string, string>();
  for (const environment of environments)
    for (const [service, places] of Object.entries(environment.services))
      for (const { image } of places) if (image !== null && !images.has(service)) images.set(service, image);
  return [
    'services: # `path` is the folder of its source; each is built elsewhere and reported (docs/guide/any-ci.md), or say how it is built',
    ...[...images].map(([service, image]) => {
      const { host, repository } = parseReference(image);
      return `  ${service}: { path: ${service}, build: { external: { image: ${word(`${host}/${repository}`)} } } }`;
    }),
  ];
}

function environmentLines(environment: ProposedEnvironment, { known, repository, credential }: WrittenFor): string[] {
  const { name, branch, folder, services: found } = environment;
  const isKnown = known?.environments.includes(name) === true;
  const without = known?.services.filter((service) => !Object.hasOwn(found, service)) ?? [];
  return [
    `  ${name}:${isKnown ? ' # it is there: this `deploy` takes the place of its own' : ''}`,
    ...(isKnown
      ? []
      : ['    on: manual # or { merge: main }, { tag: "v*" }; and `from: ...`, where releases come from']),
    '    deploy:',
    '      gitops:',
    `        repository: ${word(repository)}`,
    ...(credential === null
      ? ['        # credential: env:MANIFESTS_TOKEN']
      : [`        credential: ${word(credential)}`]),
    `        branch: ${word(branch)}`,
    ...(folder === null ? [] : [`        folder: ${word(folder)}`]),
    '        services:',
    ...Object.entries(found).flatMap(([service, places]) => placeLines(service, places)),
    ...(without.length === 0 ? [] : [`          # not found: ${without.join(', ')}`]),
  ];
}

function placeLines(service: string, places: readonly ProposedPlace[]): string[] {
  const [only, ...others] = places;
  if (only !== undefined && others.length === 0) return [`          ${service}: ${placeText(only)}`];
  return [`          ${service}:`, ...places.map((place) => `            - ${placeText(place)}`)];
}

function placeText({ place, image }: ProposedPlace): string {
  const { file } = place;
  const where =
    'image' in place
      ? `image: ${word(place.image)}`
      : 'helm' in place
        ? `helm: ${word(place.helm)}`
        : `kustomize: ${word(place.kustomize)}`;
  const document = 'document' in place ? place.document : undefined;
  const pairs = Object.entries(document ?? {}).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}: ${word(value)}`],
  );
  const more = pairs.length === 0 ? '' : `, document: { ${pairs.join(', ')} }`;
  const now = image === null ? "a tag, and the name is the chart's" : `now ${oneLine(image)}`;
  return `{ file: ${word(file)}, ${where}${more} } # ${now}`;
}

/** JSON is YAML: what is more than a plain word is written as a string of it. */
function word(text: string): string {
  return /^[A-Za-z_/][A-Za-z0-9_./-]*$/.test(text) && !/^(?:true|false|null|y|n|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text);
}

/** A comment ends with its line. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
