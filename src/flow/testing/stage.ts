import { z } from 'zod';

import type { Builder } from '../../artifact/builder.ts';
import type { BuilderFamily } from '../../artifact/service.ts';
import type { Action, DeployDriver, Target } from '../../deploy/driver.ts';
import { DeployError, fenced } from '../../deploy/deploy-error.ts';
import type { SourceTree } from '../../git/tree.ts';
import { sha256, type Digest } from '../../lib/digest.ts';
import { listOf, Name } from '../../lib/fields.ts';
import { RegistryError } from '../../registry/error.ts';
import type { Registry } from '../../registry/registry.ts';

/** What is held back until a test lets it go. */
export interface Holds {
  hold(name: string): void;
  release(name: string): void;
  /** Resolves when somebody waits there. */
  reached(name: string): Promise<void>;
  /** Waits while the name is held. @throws the signal's reason */
  pass(name: string, signal?: AbortSignal): Promise<void>;
}

export function createHolds(): Holds {
  const held = new Map<string, { free: () => void; freed: Promise<void>; reach: () => void; reached: Promise<void> }>();
  const entry = (name: string) => {
    let free = (): void => undefined;
    let reach = (): void => undefined;
    const freed = new Promise<void>((resolve) => (free = resolve));
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const made = { free: () => free(), freed, reach: () => reach(), reached };
    held.set(name, made);
    return made;
  };
  return {
    hold: (name) => void entry(name),
    release(name) {
      held.get(name)?.free();
      held.delete(name);
    },
    reached: (name) => held.get(name)?.reached ?? Promise.reject(new Error(`"${name}" is not held.`)),
    async pass(name, signal) {
      const found = held.get(name);
      if (found === undefined) return;
      found.reach();
      const aborted = new Promise<never>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        if (signal?.aborted === true) reject(signal.reason as Error);
      });
      await Promise.race([found.freed, aborted]);
    },
  };
}

const TextDefinition = z.strictObject({ from: listOf(Name).optional() });

/** Only naming can be held or away: what was built stays readable. */
export function awayAtTimes(registry: Registry, holds: Holds, isAway: (tag: string) => boolean): Registry {
  return {
    ...registry,
    async tag(repository, digest, tag) {
      await holds.pass(`tag ${tag}`);
      if (!isAway(tag)) return registry.tag(repository, digest, tag);
      throw new RegistryError({ code: 'registry.unavailable', what: 'The registry is away.', fix: 'Wait for it.' });
    },
  };
}

/**
 * A builder that keeps the contract at once: what the service's file `text` says is what its image says. A file `base`
 * names an outside image, whose pin stands behind the text, and so does what its base services say: `hello on 1a2b3c4d`.
 */
export function textBuilder(
  registry: Registry,
  holds: Holds,
): Builder & Pick<BuilderFamily, 'bases'> & { textOf(digest: Digest): string } {
  const texts = new Map<Digest, string>();
  return {
    name: 'text',
    version: '1',
    definition: TextDefinition,
    bases: (definition) => TextDefinition.parse(definition).from ?? [],
    async baseReferences(_definition, source) {
      const base = await readText(source, 'base');
      return base === '' ? [] : [base];
    },
    inputs: async (_definition, source) => source,
    async build({ source, repository, pins, parents, signal }) {
      const own = await readText(source, 'text');
      const pinned = Object.values(pins).map((pin) => ` on ${pin.slice(7, 15)}`);
      const upon = Object.values(parents).map(({ digest }) => ` upon ${texts.get(digest)}`);
      const text = [own, ...pinned, ...upon].join('');
      await holds.pass(`build ${text}`, signal);
      const mediaType = 'application/vnd.oci.image.index.v1+json';
      const bytes = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType,
          manifests: [],
          annotations: { text, files: source.entries.map(({ oid }) => oid).join(' ') },
        }),
      );
      const digest = sha256(bytes);
      texts.set(digest, text);
      await registry.putManifest(repository, `incoming-${digest.slice(7, 19)}`, { mediaType, bytes });
      return { digest, mediaType, sizeBytes: bytes.length, materials: [], isolation: 'none' };
    },
    textOf: (digest) => texts.get(digest) ?? '',
  };
}

async function readText(source: SourceTree, path: string): Promise<string> {
  const file = source.entries.find((entry) => entry.path === path);
  return file === undefined ? '' : (await source.read(file.oid)).toString('utf8');
}

/**
 * A target in memory that keeps the contract of a driver: it is fenced, hears its signal, and the same operation twice
 * is the same as once. An image whose text begins with `broken` cannot be brought in, and a migration of `unmigratable` fails.
 */
export function stageDriver(
  name: string,
  textOf: (digest: Digest) => string,
  holds: Holds,
  secretOf: (reference: string) => Promise<string>,
): DeployDriver & { runs(environment: string): Record<string, string> } {
  const places = new Map<string, StagePlace>();
  const placeOf = ({ slug, environment }: Target): StagePlace => {
    const place = places.get(slug) ?? { environment, token: 0n, services: new Map() };
    places.set(slug, place);
    return place;
  };
  const claim = (target: Target, token: bigint): StagePlace => {
    const place = placeOf(target);
    if (token < place.token) throw fenced(target.environment, token, place.token);
    place.token = token;
    return place;
  };
  return {
    name,
    config: z.strictObject({}),
    lacks: [],
    plan({ services, target, operation }, observed) {
      const gone = Object.keys(observed.services).filter((name) => !services.some(({ service }) => service === name));
      const there = (service: string): boolean => placeOf(target).services.get(service)?.operation === operation;
      return [
        ...services
          .filter(({ service }) => !there(service))
          .map(({ service }): Action => ({ kind: 'put', summary: `put ${service}`, service })),
        ...gone.map((service): Action => ({ kind: 'take', summary: `take ${service}`, service })),
      ];
    },
    async apply({ target, services, operation }, actions, { log, signal, token }) {
      claim(target, token);
      for (const { secrets } of services) await Promise.all(Object.values(secrets).map(secretOf));
      for (const { kind, service = '' } of actions) {
        const wanted = services.find((one) => one.service === service);
        if (kind === 'take' || wanted === undefined) {
          claim(target, token).services.delete(service);
          continue;
        }
        const text = textOf(wanted.digest);
        log(`deploy ${text}`);
        await holds.pass(`deploy ${text}`, signal);
        if (text.startsWith('broken'))
          throw new DeployError({ code: 'deploy.exited', what: `${service} ended at once.`, fix: 'Mend it.' });
        claim(target, token).services.set(service, { digest: wanted.digest, operation });
      }
    },
    jobs: {
      async run({ services }, { service, argv, begun, begin }, { log, signal }) {
        if (begun) return { kind: 'lost' };
        const text = services.flatMap((one) => (one.service === service ? [textOf(one.digest)] : [])).join('');
        await begin();
        log(`${argv.join(' ')} of ${text}`);
        await holds.pass(`migrate ${text}`, signal);
        return { kind: 'exited', code: text.startsWith('unmigratable') ? 1 : 0 };
      },
      forget: () => Promise.resolve(),
    },
    async observe(target) {
      const services = [...placeOf(target).services].map(([service, { digest, operation }]) => {
        const replica = {
          id: `${target.slug}-${service}`,
          digest,
          health: 'healthy' as const,
          operation,
          serving: true,
        };
        return [service, { replicas: [replica] }] as const;
      });
      return { services: Object.fromEntries(services) };
    },
    async destroy(target, { signal, token }) {
      claim(target, token);
      await holds.pass(`destroy ${target.environment}`, signal);
      places.delete(target.slug);
    },
    async *output(target, { service, follow, signal }) {
      const found = placeOf(target).services.get(service);
      if (found === undefined) return;
      const { digest, operation } = found;
      yield { replica: 'stage-0', operation, lines: [textOf(digest)], note: null, place: '1' };
      if (!follow || signal.aborted) return;
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
    runs(environment) {
      const found = [...places.values()].filter((place) => place.environment === environment);
      return Object.fromEntries(
        found.flatMap(({ services }) => [...services].map(([name, { digest }]) => [name, textOf(digest)])),
      );
    },
  };
}

interface StagePlace {
  readonly environment: string;
  token: bigint;
  readonly services: Map<string, { digest: Digest; operation: string }>;
}
