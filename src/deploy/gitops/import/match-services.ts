import type { ImageField } from './image-fields.ts';
import { nameOf } from './environment-guess.ts';

/** What the source repository says of itself. */
export interface KnownProject {
  readonly project: string;
  /** Those that have an image. */
  readonly services: readonly string[];
  readonly environments: readonly string[];
}

/** A service, or why the field is of none. */
export type Matched = { readonly service: string } | { readonly why: string };

/**
 * Says of which service each field is, by the name of the image alone: a container may be called `web` and be the proxy
 * before it, and a digest written beside another image's name would be one that is nowhere.
 */
export function matchServices(
  fields: readonly ImageField[],
  known: KnownProject | null,
): ReadonlyMap<ImageField, Matched> {
  const names = new Map(fields.map((field) => [field, field.image === null ? null : repositoryOf(field.image)]));
  const byName = known === null ? newServices([...names.values()]) : knownServices([...names.values()], known);
  return new Map(
    fields.map((field) => {
      const name = names.get(field) ?? null;
      const matched = name === null ? byPlace(field, known) : byName.get(name);
      return [
        field,
        matched ?? { why: `is the image "${field.image}", which no service of towpath.yaml is called after` },
      ];
    }),
  );
}

/** `registry.example.com/shop/web` of a whole reference, without its registry: `shop/web`. */
export function repositoryOf(image: string): string {
  const [named = ''] = image.split('@');
  const parts = named.split('/');
  const isHost = parts.length > 1 && /[.:]|^localhost$/.test(parts[0] ?? '');
  const path = (isHost ? parts.slice(1) : parts).join('/');
  return path.replace(/:[^/:]*$/, '');
}

function byPlace({ called }: ImageField, known: KnownProject | null): Matched {
  const service = known?.services.find((name) => name === called);
  if (service !== undefined) return { service };
  return { why: 'has a tag and no name, so it does not say of which service it is' };
}

/** The repositories whose images services are: one for each, else it is not known which is meant. */
function knownServices(
  repositories: readonly (string | null)[],
  { project, services }: KnownProject,
): Map<string, Matched> {
  const distinct = [...new Set(repositories.filter((name) => name !== null))];
  const matched = new Map<string, Matched>();
  for (const service of services) {
    const last = distinct.filter((name) => name === service || name.endsWith(`/${service}`));
    const whole = distinct.filter(
      (name) => name === `${project}/${service}` || name.endsWith(`/${project}/${service}`),
    );
    const joined = distinct.filter(
      (name) => name === `${project}-${service}` || name.endsWith(`/${project}-${service}`),
    );
    const candidates = [whole, last, joined].find((names) => names.length > 0) ?? [];
    for (const name of [...whole, ...last, ...joined])
      if (candidates.length === 1 && candidates[0] === name) matched.set(name, { service });
      else if (!matched.has(name))
        matched.set(name, { why: `is the image "${name}", and ${service} may be ${orList(candidates.slice(0, 4))}` });
  }
  return matched;
}

/** Without a towpath.yaml each image is a service, but for those of everybody. */
function newServices(repositories: readonly (string | null)[]): Map<string, Matched> {
  const distinct = [...new Set(repositories.filter((name) => name !== null))].toSorted();
  const taken = new Set<string>();
  const matched = new Map<string, Matched>();
  for (const name of distinct) {
    const parts = name.split('/');
    const names = [1, 2, parts.length].map((many) => nameOf(parts.slice(-many).join('-')));
    const service = names.find((one) => one !== null && !taken.has(one));
    if (!name.includes('/') || name.startsWith('library/'))
      matched.set(name, { why: `is the image "${name}", which is nobody's own` });
    else if (service === undefined || service === null)
      matched.set(name, { why: `is the image "${name}", whose name another has` });
    else {
      taken.add(service);
      matched.set(name, { service });
    }
  }
  return matched;
}

function orList(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(' or ');
}
