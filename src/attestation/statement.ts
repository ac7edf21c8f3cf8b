import { z } from 'zod';

import { canonicalJson, type Digest, hexOf, isDigest } from '../lib/digest.ts';

export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';

/** What a statement says, by the exact address of its predicate. */
export const PREDICATES = {
  /** A check's answer. */
  test: 'https://in-toto.io/attestation/test-result/v0.1',
  /** How something was built. */
  build: 'https://slsa.dev/provenance/v1',
  /** What the path decided of a promotion. */
  decision: 'https://in-toto.io/attestation/svr/v0.2',
  approval: 'https://towpath.dev/approval/v1',
  /** A bar, or that it was lifted. */
  yank: 'https://towpath.dev/yank/v1',
  /** What was found installed in an image, as CycloneDX. */
  packages: 'https://cyclonedx.org/bom',
  /** What an environment asks of an image that is to be brought in. */
  policy: 'https://towpath.dev/policy/v1',
} as const;

export type PredicateType = (typeof PREDICATES)[keyof typeof PREDICATES];

/** Every predicate carries it, so that one that is hidden leaves a gap. In CycloneDX it is a property: no other key is allowed there. */
const CHAIN = 'https://towpath.dev/chain/v1';

/** The place of a statement among all about one image. */
export interface Link {
  /** The first is 1. */
  readonly sequence: number;
  /** SHA-256 of the text of the one before; null for the first. */
  readonly previous: string | null;
}

export interface Statement {
  readonly predicateType: string;
  readonly subjects: readonly { readonly name: string; readonly digest: Digest }[];
  readonly predicate: Readonly<Record<string, unknown>>;
  /** Null for a statement of others. */
  readonly link: Link | null;
}

export interface StatementToWrite {
  readonly predicateType: string;
  /** `<project>/<service>`: who reads it alone sees what it is about. */
  readonly name: string;
  readonly digest: Digest;
  readonly predicate: Readonly<Record<string, unknown>>;
  readonly link: Link;
}

/** An in-toto statement (v1) about one image. Equal contents, equal text. */
export function writeStatement({ predicateType, name, digest, predicate, link }: StatementToWrite): string {
  return canonicalJson({
    _type: STATEMENT_TYPE,
    subject: [{ name, digest: { sha256: hexOf(digest) } }],
    predicateType,
    predicate: { ...predicate, ...linked(predicateType, link) },
  });
}

function linked(predicateType: string, link: Link): Record<string, unknown> {
  if (predicateType !== PREDICATES.packages) return { [CHAIN]: link };
  return { properties: [{ name: CHAIN, value: canonicalJson(link) }] };
}

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const Text = z.looseObject({
  _type: z.literal(STATEMENT_TYPE),
  subject: z
    .array(z.looseObject({ name: z.string().optional(), digest: z.record(z.string(), z.string()) }))
    .min(1)
    .max(1000),
  predicateType: z.string().min(1).max(500),
  predicate: z.record(z.string(), z.unknown()),
});
const LinkText = z.looseObject({ sequence: z.int().positive(), previous: Sha256.nullable() });

/** @returns null when the text is no in-toto statement (v1) about something with a SHA-256 */
export function readStatement(text: string): Statement | null {
  const read = Text.safeParse(jsonOrNull(text));
  if (!read.success) return null;
  const { predicateType, subject, predicate } = read.data;
  const link = LinkText.safeParse(linkIn(predicateType, predicate));
  const subjects = subject.flatMap(({ name = '', digest }) => {
    const full = `sha256:${digest['sha256'] ?? ''}`;
    return isDigest(full) ? [{ name, digest: full }] : [];
  });
  if (subjects.length === 0) return null;
  return {
    predicateType,
    subjects,
    predicate,
    link: link.success ? { sequence: link.data.sequence, previous: link.data.previous } : null,
  };
}

const Properties = z.array(z.looseObject({ name: z.string(), value: z.string() }));

function linkIn(predicateType: string, predicate: Readonly<Record<string, unknown>>): unknown {
  if (predicateType !== PREDICATES.packages) return predicate[CHAIN];
  const properties = Properties.safeParse(predicate['properties']);
  return jsonOrNull(properties.data?.find(({ name }) => name === CHAIN)?.value ?? '');
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
