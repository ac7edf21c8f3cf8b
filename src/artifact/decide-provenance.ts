import type { Digest } from '../lib/digest.ts';
import type { Problem } from '../lib/error.ts';
import { compileGlob } from '../lib/glob.ts';
import type { ExpectedReport } from './builder.ts';
import type { Provenance } from './provenance.ts';

export type ProvenanceVerdict =
  | { readonly kind: 'fits'; readonly origin: Provenance | null }
  | { readonly kind: 'refused'; readonly problem: Problem };

export interface ProvenanceFacts {
  /** All that came with the report; empty when nothing did. */
  readonly statements: readonly Provenance[];
  /** The digest that was reported and, of an index, those of its images. */
  readonly digests: readonly Digest[];
  readonly commit: string;
  readonly expected: ExpectedReport['provenance'];
}

/**
 * Whether the provenance of a report is about this very digest and commit, and says what `towpath.yaml` asks for. Who
 * signed it is not looked at here.
 */
export function decideProvenance({ statements, digests, commit, expected }: ProvenanceFacts): ProvenanceVerdict {
  if (statements.length === 0)
    return expected === null
      ? { kind: 'fits', origin: null }
      : refused('wanted', 'towpath.yaml asks for provenance, and none was reported.', 'Give it with --provenance.');
  const ours = statements.filter(({ subjects }) => subjects.some((subject) => digests.includes(subject)));
  const [first] = ours;
  if (first === undefined)
    return refused(
      'of-another',
      `The provenance is about ${nameSome(statements.flatMap(({ subjects }) => subjects))}, not about ${digests[0]}.`,
      'Report it with the digest that it was made for.',
    );
  const verdicts = ours.map((statement) => decideOne(statement, commit, expected));
  return verdicts.find(({ kind }) => kind === 'fits') ?? verdicts[0] ?? { kind: 'fits', origin: first };
}

function decideOne(origin: Provenance, commit: string, expected: ExpectedReport['provenance']): ProvenanceVerdict {
  const { builder, sources } = origin;
  const commits = sources.flatMap((source) => source.commit ?? []);
  if (commits.length > 0 && !commits.includes(commit))
    return refused(
      'of-another',
      `The provenance is about commit ${nameSome(commits)}, not about ${commit}.`,
      'Report the commit that it was built from.',
    );
  const wantedBuilder = expected?.builder;
  if (wantedBuilder !== undefined && (builder === null || !compileGlob(wantedBuilder, 'name')(builder)))
    return refused(
      'unfit',
      `The provenance names ${builder === null ? 'no builder' : `the builder ${builder}`}, and towpath.yaml asks for ${wantedBuilder}.`,
      'Build it there, or correct `provenance.builder`.',
    );
  const wantedSource = expected?.source;
  if (wantedSource === undefined) return { kind: 'fits', origin };
  const matches = compileGlob(plainRepository(wantedSource), 'name');
  if (sources.some((source) => source.commit === commit && matches(plainRepository(source.uri))))
    return { kind: 'fits', origin };
  return refused(
    'unfit',
    `The provenance names ${nameSome(sources.map(({ uri }) => uri))}, and towpath.yaml asks for commit ${commit} of ${wantedSource}.`,
    'Build it from there, or correct `provenance.source`.',
  );
}

/** `git+https://host/team/shop.git@refs/heads/main` is `https://host/team/shop`. */
function plainRepository(uri: string): string {
  return uri
    .replace(/^git\+/, '')
    .replace(/#.*$/, '')
    .replace(/(?<=[^:/@]\/.*)@.*$/, '')
    .replace(/\/+$/, '')
    .replace(/\.git$/, '');
}

function nameSome(names: readonly string[]): string {
  const [one, ...more] = [...new Set(names)];
  if (one === undefined) return 'nothing';
  return more.length === 0 ? one : `${one} and ${more.length} more`;
}

function refused(word: string, what: string, fix: string): ProvenanceVerdict {
  return { kind: 'refused', problem: { code: `artifact.provenance-${word}`, what, fix } };
}
