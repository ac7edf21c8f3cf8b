import { parseDocument } from 'yaml';
import { z } from 'zod';

import { ArtifactError } from '../../artifact-error.ts';

/** What a `serverless.yml` says of what is packaged; where it goes is no concern of a build. */
export interface ServerlessFile {
  /** `nodejs22.x`, of all its functions; undefined where it names none. */
  readonly runtime: string | undefined;
  readonly architecture: string | undefined;
  readonly functions: readonly FileFunction[];
  /** In their order, the last that matches decides; one that begins with `!` leaves out. */
  readonly patterns: readonly string[];
  readonly excludesDevDependencies: boolean;
  readonly plugins: readonly string[];
  /** Plugins of the service's own, which osls leaves out. */
  readonly pluginsFolder: string;
  readonly usesDotenv: boolean;
}

export interface FileFunction {
  readonly name: string;
  readonly handler: string;
  readonly patterns: readonly string[];
  /** True when it has a zip of its own. */
  readonly individually: boolean;
}

const Text = z.string().max(1000);
const Package = z.looseObject({
  individually: z.boolean().optional(),
  patterns: z.array(Text).max(256).default([]),
  excludeDevDependencies: z.boolean().default(true),
  artifact: z.unknown().optional(),
  include: z.unknown().optional(),
  exclude: z.unknown().optional(),
  disable: z.unknown().optional(),
});
const Function = z.looseObject({
  handler: Text.optional(),
  image: z.unknown().optional(),
  runtime: Text.optional(),
  architecture: Text.optional(),
  package: Package.prefault({}),
});
const Functions = z.record(z.string().max(100), Function);
const File = z.looseObject({
  provider: z
    .union([
      z.string().transform(() => ({ runtime: undefined, architecture: undefined })),
      z.looseObject({ runtime: Text.optional(), architecture: Text.optional() }),
    ])
    .prefault({}),
  functions: z
    .union([Functions, z.array(Functions).transform((parts): z.infer<typeof Functions> => Object.assign({}, ...parts))])
    .refine((functions) => Object.keys(functions).length > 0, 'at least one function'),
  package: Package.prefault({}),
  plugins: z
    .union([
      z.array(Text).transform((modules) => ({ modules, localPath: undefined })),
      z.looseObject({ modules: z.array(Text), localPath: Text.optional() }),
    ])
    .prefault([]),
  layers: z.unknown().optional(),
  useDotenv: z.boolean().default(false),
});

/**
 * Reads the part of a `serverless.yml` (or its JSON) that decides what is packaged.
 * @throws ArtifactError `artifact.serverless-malformed` for what is wrong, `artifact.serverless-unsupported` for what only
 * the framework itself could do
 */
export function readServerlessFile(text: string, name: string): ServerlessFile {
  const read = File.safeParse(valueOf(text, name));
  if (!read.success) {
    const [issue] = read.error.issues;
    throw malformed(name, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it cannot be read'}`);
  }
  const file = read.data;
  const functions = Object.entries(file.functions);
  const unsupported = (what: string): never => {
    throw new ArtifactError({
      code: 'artifact.serverless-unsupported',
      what: `${name} ${what}, which only the framework itself could package.`,
      fix: 'Write it out plainly, or name the functions in towpath.yaml: `build: { serverless: { functions: ... } }`.',
    });
  };
  if (file.layers !== undefined) unsupported('has layers');
  for (const [where, { artifact, include, exclude, disable }] of [
    ['package', file.package] as const,
    ...functions.map(([key, one]) => [`functions.${key}.package`, one.package] as const),
  ]) {
    if (artifact !== undefined) unsupported(`names a ready artifact (${where}.artifact)`);
    if (disable !== undefined) unsupported(`has ${where}.disable`);
    if (include !== undefined || exclude !== undefined)
      unsupported(`has ${where}.include or exclude in place of patterns`);
  }
  const runtimes = new Set(functions.map(([, one]) => one.runtime ?? file.provider.runtime));
  const architectures = new Set(functions.map(([, one]) => one.architecture ?? file.provider.architecture));
  if (runtimes.size > 1 || architectures.size > 1) unsupported('has functions of several runtimes or architectures');
  const result = {
    runtime: [...runtimes][0],
    architecture: [...architectures][0],
    functions: functions.map(([key, one]): FileFunction => {
      if (one.image !== undefined || one.handler === undefined) return unsupported(`has "${key}" without a handler`);
      const individually = one.package.individually ?? file.package.individually ?? false;
      return { name: key, handler: one.handler, patterns: one.package.patterns, individually };
    }),
    patterns: file.package.patterns,
    excludesDevDependencies: file.package.excludeDevDependencies,
    plugins: file.plugins.modules,
    pluginsFolder: file.plugins.localPath ?? '.serverless_plugins',
    usesDotenv: file.useDotenv,
  };
  const variable = JSON.stringify(result).match(/\$\{[^}]*\}?/)?.[0];
  if (variable !== undefined) unsupported(`has a variable (${variable}) in what says what is packaged`);
  return result;
}

/** Tags of CloudFormation (`!Sub`) stand elsewhere in the file and mean nothing here. */
function valueOf(text: string, name: string): unknown {
  const document = parseDocument(text, { logLevel: 'silent', merge: true });
  const [error] = document.errors;
  if (error !== undefined) throw malformed(name, error.message.split('\n')[0] ?? 'it is not YAML');
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw malformed(name, cause instanceof Error ? cause.message : 'its aliases cannot be followed');
  }
}

function malformed(name: string, why: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.serverless-malformed',
    what: `${name} cannot be used (${why}).`,
    fix: 'Correct it; `osls package` in a clone should go through.',
  });
}
