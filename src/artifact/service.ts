import { z } from 'zod';

import { choiceOf, Command, Duration, LimitsField, Name, RelativePath, Wait } from '../lib/fields.ts';

/** A part of a project that is built on its own. */
export interface ServiceDefinition<Check = unknown> {
  /** `base` is an image that others build upon and that runs nowhere; `zip` is for functions. */
  readonly kind: 'image' | 'base' | 'zip';
  /** Its folder in the repository; `.` is the whole. */
  readonly path: string;
  /** `definition` has passed the builder's own schema, defaults filled in. */
  readonly build: { readonly builder: string; readonly definition: unknown };
  /** The base services that it is built upon. */
  readonly bases: readonly string[];
  /** Another CI builds it, and reports what it built. */
  readonly elsewhere?: true;
  readonly command?: readonly string[];
  /** Brings its database to what it needs, before it runs somewhere: a program of its image that ends. */
  readonly migrate?: { readonly run: readonly string[]; readonly timeoutMs: number };
  /** Where it listens; a worker has none. */
  readonly port?: number;
  readonly health?: ServiceHealth;
  readonly replicas: number;
  readonly limits: { readonly memoryMb?: number; readonly cpus?: number };
  readonly checks: Readonly<Record<string, Check>>;
}

export interface ServiceHealth {
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startMs: number;
}

/** What the configuration must know of a builder. */
export interface BuilderFamily {
  readonly name: string;
  readonly definition: z.ZodType;
  /** What it makes; an image where it does not say. */
  readonly makes?: 'image' | 'zip';
  /** Another CI builds it: nothing is asked during the build. */
  readonly elsewhere?: true;
  /** The base services that a definition names. */
  readonly bases?: (definition: unknown) => readonly string[];
}

const HttpPath = z.string().regex(/^\/[^\s\p{Cc}]*$/u, 'a path that begins with a slash');

const HealthFields = z.strictObject({
  path: HttpPath.describe('What is asked for; 2xx and 3xx are healthy'),
  interval: Duration.default(500).describe('Between two questions (500ms)'),
  timeout: Duration.default(2000).describe('How long one answer may take (2s)'),
  start: Duration.default(30_000).describe('How long a new one may take until it is healthy (30s)'),
});

const Health = z
  .union([HttpPath.transform((path) => ({ path })).pipe(HealthFields), HealthFields])
  .transform(({ path, interval, timeout, start }): ServiceHealth => ({
    path,
    intervalMs: interval,
    timeoutMs: timeout,
    startMs: start,
  }));

const Migrate = z.strictObject({
  run: Command.describe('The program with its arguments'),
  timeout: Wait.default(600_000).describe('How long it may take (10m)'),
});

/** The piece of towpath.yaml under `services: { <name>: ... }`. */
export function serviceSchema<Check>(builders: readonly BuilderFamily[], check: z.ZodType<Check>) {
  const build = choiceOf('builder', Object.fromEntries(builders.map(({ name, definition }) => [name, definition])));
  return z
    .strictObject({
      path: RelativePath.describe('Its folder in the repository; `.` is the whole'),
      build: build.optional().describe('How it is built: one builder with its settings'),
      base: build.optional().describe('In place of `build`: makes an image that other services build upon'),
      command: Command.optional().describe("Replaces the image's own command"),
      migrate: Migrate.optional().describe('A program of its image that runs to its end before each promotion'),
      port: z.int().min(1).max(65_535).optional().describe('Where it listens; a worker has none'),
      health: Health.optional().describe('A path to ask, or a path with its times'),
      replicas: z.int().min(1).max(100).optional().describe('How many run (1)'),
      limits: LimitsField.prefault({}).describe('What it may use'),
      checks: z.record(Name, check).default({}).describe('Questions asked of what was built'),
    })
    .superRefine((service, context) => {
      const expect = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
      if (service.build === undefined && service.base === undefined) expect([], '`build` with a builder');
      if (service.build !== undefined && service.base !== undefined) expect(['base'], '`build` or `base`, not both');
      if (service.health !== undefined && service.port === undefined) expect(['health'], '`port` beside `health`');
      for (const key of ['port', 'health', 'command', 'migrate'] as const)
        if (service.base !== undefined && service[key] !== undefined)
          expect([key], `no \`${key}\`: a base runs nowhere`);
      const made = (name: string | undefined) => builders.find((family) => family.name === name)?.makes ?? 'image';
      if (made(service.base?.name) === 'zip')
        expect(['base', service.base?.name ?? ''], 'a builder that makes an image');
      for (const key of ['port', 'health', 'command', 'migrate', 'replicas'] as const)
        if (made(service.build?.name) === 'zip' && service[key] !== undefined)
          expect([key], `no \`${key}\`: a function is called, and listens nowhere`);
    })
    .transform(({ path, build, base, limits, command, migrate, port, health, replicas, checks }) => {
      const chosen = build ?? base ?? { name: '', settings: {} };
      const family = builders.find(({ name }) => name === chosen.name);
      return {
        kind: base === undefined ? (family?.makes ?? 'image') : 'base',
        path,
        build: { builder: chosen.name, definition: chosen.settings },
        bases: family?.bases?.(chosen.settings) ?? [],
        ...(family?.elsewhere === undefined ? {} : { elsewhere: family.elsewhere }),
        ...(command === undefined ? {} : { command }),
        ...(migrate === undefined ? {} : { migrate: { run: migrate.run, timeoutMs: migrate.timeout } }),
        ...(port === undefined ? {} : { port }),
        ...(health === undefined ? {} : { health }),
        replicas: replicas ?? 1,
        limits,
        checks,
      } satisfies ServiceDefinition<Check>;
    });
}
