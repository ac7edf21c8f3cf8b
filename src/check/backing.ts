import { z } from 'zod';

import type { Digest } from '../lib/digest.ts';
import { Command, LimitsField, VariableName, Wait } from '../lib/fields.ts';

/** A server that checks need beside them, as it stands in towpath.yaml. Its name is its host name. */
export interface BackingPart {
  /** A reference; its digest is pinned as that of an outside base is. */
  readonly image: string;
  readonly port: number;
  /** Replaces the image's command. */
  readonly command?: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Variables of the checks that it stands beside. */
  readonly tells: Readonly<Record<string, string>>;
  readonly ready?: readonly string[] | undefined;
  readonly timeout: number;
  readonly limits?: { readonly memoryMb?: number; readonly cpus?: number } | undefined;
}

export interface Backing extends BackingPart {
  /** What stands in for it where an environment says so. */
  readonly mock?: BackingPart | undefined;
}

const part = {
  image: z.string().min(1, 'a reference to an image').describe('An image reference; its digest is pinned'),
  port: z.int().min(1).max(65_535).describe('Where it listens'),
  command: Command.optional().describe("Replaces the image's command"),
  env: z.record(VariableName, z.string()).default({}).describe('Variables of the part'),
  tells: z.record(VariableName, z.string()).default({}).describe('Variables of the checks that it stands beside'),
  ready: Command.optional().describe('A program in it that ends with 0 once it is ready (its port takes connections)'),
  timeout: Wait.default(60_000).describe('How long it may take to be ready (1m)'),
  limits: LimitsField.optional().describe('What it may use'),
};

/** The piece of towpath.yaml under `backing: { <name>: ... }`. */
export const backingSchema: z.ZodType<Backing> = z.strictObject({
  ...part,
  mock: z.strictObject(part).optional().describe('What stands in for it in environments that say so with `mocks`'),
});

/** A part as one question has it: real or mocked, its image resolved. */
export interface PinnedPart extends BackingPart {
  readonly name: string;
  readonly digest: Digest;
}

export type PinsOf = Readonly<Record<string, Digest>>;

/** The references of outside images that must be resolved before a check can be asked. */
export function imagesOf(backing: Readonly<Record<string, Backing>>): string[] {
  const images = Object.values(backing).flatMap(({ image, mock }) =>
    mock === undefined ? [image] : [image, mock.image],
  );
  return [...new Set(images)];
}

/** @param mocks names of those that are mocked. @param pins of every image; one without is left out */
export function pinnedParts(
  backing: Readonly<Record<string, Backing>>,
  mocks: readonly string[],
  pins: PinsOf,
): PinnedPart[] {
  return Object.entries(backing).flatMap(([name, { mock, ...real }]) => {
    const chosen = mocks.includes(name) && mock !== undefined ? mock : real;
    const digest = pins[chosen.image];
    return digest === undefined ? [] : [{ ...chosen, name, digest }];
  });
}

/** What of parts belongs to a question: not how their images are called, nor how long they may take. */
export function keyOfParts(parts: readonly PinnedPart[]): Record<string, unknown> {
  return Object.fromEntries(parts.map(({ name, image: _image, timeout: _timeout, ...rest }) => [name, rest]));
}

/** What a file wants beside a check, before any image is resolved, but for how long that may take. */
export function wishesOf(backing: Readonly<Record<string, Backing>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(backing).map(([name, { timeout: _timeout, mock: _mock, ...rest }]) => [name, rest]),
  );
}

/** What a check is told of its parts. */
export function variablesOfParts(parts: readonly PinnedPart[]): Record<string, string> {
  return Object.assign(
    {},
    ...parts.map(({ name, port, tells }) => {
      const prefix = `TOWPATH_${name.toUpperCase().replaceAll('-', '_')}`;
      return { [`${prefix}_HOST`]: name, [`${prefix}_PORT`]: String(port), ...tells };
    }),
  ) as Record<string, string>;
}
