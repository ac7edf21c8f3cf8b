import { z } from 'zod';

import { type Digest, isDigest } from '../lib/digest.ts';
import { ArtifactError } from './artifact-error.ts';

/** What a SLSA provenance says, of any version and in any wrapping. */
export interface Provenance {
  readonly predicateType: string;
  readonly subjects: readonly Digest[];
  /** The id of what built it. */
  readonly builder: string | null;
  /** Repositories that it names, each with its commit where that is said. */
  readonly sources: readonly { readonly uri: string; readonly commit: string | null }[];
  /** Whether signatures came with it. They are kept, and are not looked at yet. */
  readonly signed: boolean;
}

export const MAX_PROVENANCE_CHARACTERS = 512 * 1024;
const MOST_STATEMENTS = 50;
const DEEPEST = 8;

const Digests = z.record(z.string().max(40), z.string().max(200)).catch({});
const Source = z.looseObject({ uri: z.string().max(2000).optional(), digest: Digests.optional() });
const Vcs = z.looseObject({ source: z.string().max(2000).optional(), revision: z.string().max(200).optional() });
const Builder = z.looseObject({ id: z.string().max(2000) });

const V02 = z.looseObject({
  builder: Builder.optional(),
  invocation: z.looseObject({ configSource: Source.optional() }).nullish(),
  materials: z.array(Source).max(10_000).nullish(),
  metadata: z.looseObject({}).nullish(),
});

const V1 = z.looseObject({
  buildDefinition: z
    .looseObject({
      externalParameters: z.looseObject({ configSource: Source.optional().catch(undefined) }).nullish(),
      resolvedDependencies: z.array(Source).max(10_000).nullish(),
    })
    .optional(),
  runDetails: z.looseObject({ builder: Builder.optional(), metadata: z.looseObject({}).nullish() }).optional(),
});

const Statement = z.looseObject({
  predicateType: z.string().max(200),
  subject: z.array(z.looseObject({ digest: Digests })).max(1000),
  predicate: z.unknown(),
});

const Envelope = z.looseObject({ payload: z.string(), signatures: z.array(z.unknown()) });

const PREDICATES = new Map([
  ['https://slsa.dev/provenance/v0.2', readV02],
  ['https://slsa.dev/provenance/v1', readV1],
]);

/**
 * Reads the provenance statements of a file: in-toto statements, bare, in DSSE envelopes or in Sigstore bundles, one or
 * several (also a line each), or the metadata file of `docker buildx build`. Other statements of the file are left out.
 * @throws ArtifactError `artifact.provenance-malformed`
 */
export function parseProvenance(text: string): Provenance[] {
  if (text.length > MAX_PROVENANCE_CHARACTERS) throw malformed('it is larger than 512 KiB');
  const found = documentsOf(text).flatMap((document) => provenanceIn(document, false, 0));
  if (found.length > MOST_STATEMENTS) throw malformed(`it holds more than ${MOST_STATEMENTS} statements`);
  if (found.length === 0) throw malformed('it holds no SLSA provenance of version 0.2 or 1');
  return found;
}

function documentsOf(text: string): unknown[] {
  const whole = jsonOf(text);
  if (whole !== undefined) return [whole];
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length > MOST_STATEMENTS) throw malformed('it is not JSON');
  return lines.map((line) => jsonOf(line) ?? fail('it is not JSON'));
}

function provenanceIn(document: unknown, signed: boolean, depth: number): Provenance[] {
  if (depth > DEEPEST) throw malformed('it is wrapped too often');
  if (Array.isArray(document)) return document.slice(0, 1000).flatMap((one) => provenanceIn(one, signed, depth + 1));
  if (typeof document !== 'object' || document === null) return [];
  for (const wrapping of ['attestations', 'attestation', 'bundle', 'dsseEnvelope'] as const)
    if (wrapping in document) return provenanceIn((document as Record<string, unknown>)[wrapping], signed, depth + 1);
  if ('payload' in document) {
    const { payload, signatures } = read(Envelope, document, 'its envelope');
    const statement = jsonOf(Buffer.from(payload, 'base64').toString('utf8'));
    if (statement === undefined) throw malformed('what its envelope holds is not JSON');
    return provenanceIn(statement, signatures.length > 0, depth + 1);
  }
  if ('buildx.build.provenance' in document) return ofBuildx(document);
  if (!('predicateType' in document)) return [];
  const { predicateType, subject, predicate } = read(Statement, document, 'its statement');
  const readPredicate = PREDICATES.get(predicateType);
  if (readPredicate === undefined) return [];
  const subjects = subject.map(({ digest }) => `sha256:${digest['sha256'] ?? ''}`).filter(isDigest);
  return [{ predicateType, subjects, ...readPredicate(predicate), signed }];
}

type Predicate = Pick<Provenance, 'builder' | 'sources'>;

/** It holds the predicate alone, and beside it the digest of the image. */
function ofBuildx(metadata: Record<string, unknown>): Provenance[] {
  const predicate = metadata['buildx.build.provenance'];
  const digest = metadata['containerimage.digest'];
  const isV1 = typeof predicate === 'object' && predicate !== null && 'buildDefinition' in predicate;
  const predicateType = `https://slsa.dev/provenance/${isV1 ? 'v1' : 'v0.2'}`;
  const subjects = isDigest(digest) ? [digest] : [];
  return [{ predicateType, subjects, ...(isV1 ? readV1(predicate) : readV02(predicate)), signed: false }];
}

function readV02(predicate: unknown): Predicate {
  const { builder, invocation, materials, metadata } = read(V02, predicate, 'its predicate');
  return {
    builder: builder?.id || null,
    sources: sourcesOf(
      [invocation?.configSource, ...(materials ?? [])],
      metadata?.['https://mobyproject.org/buildkit@v1#metadata'],
    ),
  };
}

function readV1(predicate: unknown): Predicate {
  const { buildDefinition, runDetails } = read(V1, predicate, 'its predicate');
  return {
    builder: runDetails?.builder?.id || null,
    sources: sourcesOf(
      [buildDefinition?.externalParameters?.configSource, ...(buildDefinition?.resolvedDependencies ?? [])],
      runDetails?.metadata?.['buildkit_metadata'],
    ),
  };
}

/** @param buildkit what BuildKit notes besides: the work tree that a local context came from */
function sourcesOf(listed: readonly (z.infer<typeof Source> | undefined)[], buildkit: unknown): Provenance['sources'] {
  const git = listed.flatMap((source) => {
    const [uri, commit] = [source?.uri, commitOf(source?.digest ?? {})];
    return uri !== undefined && (commit !== null || uri.startsWith('git+')) ? [{ uri, commit }] : [];
  });
  const vcs = z.looseObject({ vcs: Vcs }).safeParse(buildkit).data?.vcs;
  const tree = vcs?.revision === undefined ? [] : [{ uri: vcs.source ?? '', commit: commitOf({ sha1: vcs.revision }) }];
  return [...git, ...tree];
}

/** GitLab writes the 40 digits of a commit under `sha256`. */
function commitOf(digests: Readonly<Record<string, string>>): string | null {
  const { gitCommit, sha1, sha256 } = digests;
  if (gitCommit !== undefined && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(gitCommit)) return gitCommit;
  return [sha1, sha256].find((text) => text !== undefined && /^[0-9a-f]{40}$/.test(text)) ?? null;
}

function read<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw malformed(`${what} is not as it should be at "${issue?.path.join('.') ?? ''}": ${issue?.message ?? ''}`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function fail(why: string): never {
  throw malformed(why);
}

function malformed(why: string): ArtifactError {
  return new ArtifactError({
    code: 'artifact.provenance-malformed',
    what: `The provenance cannot be read: ${why}.`,
    fix: 'Give an in-toto statement with SLSA provenance: bare, in a DSSE envelope or in a Sigstore bundle; docs/guide/any-ci.md shows how each CI writes one.',
  });
}
