import { type PinnedPart, pinnedParts } from '../check/backing.ts';
import type { CheckDefinition } from '../check/check.ts';
import { contractsOf, kindOf } from '../check/checks.ts';
import { questionOf } from '../check/question.ts';
import type { ProjectConfig } from '../config/config.ts';
import type { SourceTree } from '../git/tree.ts';
import type { Digest } from '../lib/digest.ts';
import type { Release, ReleaseService } from '../release/release.ts';
import { pinParts } from './backing.ts';
import { type ArtifactBefore, artifactBefore } from './baseline.ts';
import { type Changes, changesOf } from './compared.ts';
import type { House } from './house.ts';
import { treeOf } from './plan-artifacts.ts';
import { configAt } from './project-config.ts';
import { type RulingFiles, rulingFiles } from './ruling-files.ts';

/** One question that a release's configuration asks of one of its services. */
export interface Question {
  readonly id: string;
  readonly name: string;
  readonly check: CheckDefinition;
  readonly service: string;
  readonly digest: Digest;
  /** Of the image, in our registry. */
  readonly repository: string;
  /** Where its program comes from. */
  readonly repositoryId: string;
  readonly commit: string;
  readonly source: SourceTree;
  /** For a question about what changed. */
  readonly changes: Changes | null;
  readonly parts: readonly PinnedPart[];
  /** For one that files of the default branch rule. */
  readonly ruling: RulingFiles | null;
  /** For one that has a baseline: what it is measured against, if there is anything. */
  readonly before: ArtifactBefore | null;
  /** For one that verifies a pact. */
  readonly pact: AskedPact | null;
}

export interface AskedPact {
  readonly consumer: string;
  readonly digest: string;
}

/** What the environment adds to questions that are asked of a deployment there. */
export interface Surroundings {
  readonly urls: Readonly<Record<string, string>>;
  readonly mocks: readonly string[];
}

/** A check, by name, of every service of a release that has it. */
export async function questionsOf(
  house: House,
  release: Release,
  name: string,
  surroundings: Surroundings | null = null,
): Promise<Question[]> {
  const questions = await Promise.all(
    release.services.map((part) => questionOfPart(house, release, part, name, { surroundings })),
  );
  return questions.filter((question) => question !== null);
}

/** @returns null where its commit has no such check, or the pact is none that the check verifies */
export async function questionOfPart(
  house: House,
  release: Release,
  part: ReleaseService,
  name: string,
  more: { readonly surroundings?: Surroundings | null; readonly pact?: AskedPact },
): Promise<Question | null> {
  if (part.digest === null) return null;
  const config = await configAt(house, release.repositoryId, part.commit);
  const image = { ...part, digest: part.digest, repository: part.builtIn };
  return questionFor(house, release.projectId, release.repositoryId, config, image, name, more);
}

interface Artifact {
  readonly service: string;
  readonly commit: string;
  readonly digest: Digest;
  readonly repository: string;
}

export async function questionFor(
  house: House,
  projectId: string,
  repositoryId: string,
  config: ProjectConfig,
  part: Artifact,
  name: string,
  { surroundings = null, pact = null }: { surroundings?: Surroundings | null; pact?: AskedPact | null } = {},
): Promise<Question | null> {
  const service = config.services[part.service];
  const check = service?.checks[name];
  if (service === undefined || check === undefined) return null;
  if ((contractsOf(check) === 'verifies') !== (pact !== null)) return null; // of each pact a question of its own
  const source = await treeOf(house, repositoryId, part.commit, service);
  const digests = { [part.service]: part.digest };
  const pins = await pinParts(house, projectId, [{ service: part.service, name, check }]);
  const parts = pinnedParts(check.backing, surroundings?.mocks ?? [], pins);
  const environment = surroundings?.urls ?? null;
  const kind = kindOf(check);
  const compared = kind.compares?.(check.definition) ?? { changes: false, baseline: null };
  const changes = compared.changes
    ? await changesOf(house, { repositoryId, commit: part.commit, service: part.service, path: service.path })
    : null;
  const before =
    compared.baseline === null ? null : await artifactBefore(house, repositoryId, { ...part, in: compared.baseline });
  const ruledBy = kind.ruledBy?.(check.definition) ?? [];
  const ruling = ruledBy.length === 0 ? null : await rulingFiles(house, repositoryId, ruledBy);
  const against = {
    ...(ruling === null ? {} : { ruling: ruling.files }),
    ...(changes === null ? {} : { changed: changes.files }),
    ...(before === null ? {} : { baseline: before.digest }),
    ...(pact === null ? {} : { pact: pact.digest }),
  };
  const id = questionOf({
    check,
    kind,
    service: part.service,
    digests,
    source,
    parts,
    environment,
    ...(Object.keys(against).length === 0 ? {} : { against }),
  });
  return { id, name, check, ...part, repositoryId, source, parts, changes, ruling, before, pact };
}
