import type { Identity } from '../access/identity.ts';
import type { Digest } from '../lib/digest.ts';
import type { Problem } from '../lib/error.ts';
import { compileGlob } from '../lib/glob.ts';
import { ArtifactError } from './artifact-error.ts';
import type { ExpectedReport } from './builder.ts';
import type { Provenance } from './provenance.ts';

/** What another CI says that it built. */
export interface Report {
  readonly id: string;
  readonly projectId: string;
  readonly service: string;
  readonly commit: string;
  readonly digest: Digest;
  /** Registry and repository, without a tag; null until it is known where it has to be. */
  readonly image: string | null;
  /** As it was sent. */
  readonly provenance: string | null;
  readonly by: string;
  /** Of a CI that showed an identity token. */
  readonly identity: Identity | null;
  readonly state: 'waiting' | 'checking' | 'accepted' | 'refused';
  /** Until when it is waited for that its commit is seen. */
  readonly commitUntil: Date;
  readonly key: string | null;
  readonly origin: Provenance | null;
  readonly problem: Problem | null;
  readonly runs: number;
  readonly at: Date;
  readonly endedAt: Date | null;
}

/** Who reported it, for people: with the run of the job, where one is known. */
export function reporterOf({ by, identity }: Pick<Report, 'by' | 'identity'>): string {
  if (identity === null) return by;
  return `${by} (${identity.run ?? identity.subject})`;
}

/** What has to be run where the artifact was built. */
export function reportCommand({ service, commit }: { readonly service: string; readonly commit: string }): string {
  return `\`towpath artifact report --service ${service} --commit ${commit} --digest sha256:...\``;
}

/**
 * Where the image of a report rests.
 * @throws ArtifactError `artifact.image-elsewhere` for a place that `towpath.yaml` does not name
 */
export function imageOf(expected: Pick<ExpectedReport, 'image'>, said: string | null): string {
  if (said === null && !expected.image.includes('*')) return expected.image;
  if (said !== null && compileGlob(expected.image, 'path')(said)) return said;
  throw new ArtifactError({
    code: 'artifact.image-elsewhere',
    what:
      said === null
        ? `\`image\` in towpath.yaml is the pattern ${expected.image}, and the report does not say which image it is.`
        : `The report is of an image in ${said}, and towpath.yaml expects it in ${expected.image}.`,
    fix:
      said === null
        ? 'Give --image with registry and repository.'
        : 'Report the image where it is expected, or correct `image` in the build section.',
  });
}

/** Built once: the digest that stands is named, with how another one may come to stand. */
export function conflictWith(
  first: { readonly digest: Digest; readonly commit: string; readonly by: string; readonly at: Date },
  report: Pick<Report, 'service' | 'commit' | 'digest'>,
): ArtifactError {
  const same = first.commit === report.commit;
  const where = same
    ? `commit ${report.commit.slice(0, 7)}`
    : `commit ${first.commit.slice(0, 7)}, which has the same files as ${report.commit.slice(0, 7)}`;
  return new ArtifactError({
    code: 'artifact.report-conflict',
    what: `"${report.service}" of ${where} is ${first.digest}, reported by ${first.by} at ${first.at.toISOString()}; ${report.digest} is another.`,
    fix: 'What was built once stands. To have the same files built anew, raise `revision` in the build section of the service and report that commit; `towpath yank` bars what stands.',
  });
}
