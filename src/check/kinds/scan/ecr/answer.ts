import { z } from 'zod';

import { canonicalJson, sha256Hex } from '../../../../lib/digest.ts';
import { shorten } from '../../../report/report.ts';
import { familyOf, OF_DISTRIBUTIONS } from '../packages/package.ts';
import { named, type Scanned } from '../scanner.ts';
import { type Asked, BasicFinding, EnhancedFinding, Text, vulnerabilitiesOf } from './finding.ts';

/** Seconds since 1970, or as text: the documentation has both. In milliseconds. */
const Instant = z.union([
  z.number().transform((seconds) => seconds * 1000),
  z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
]);

/**
 * One page of an answer, as far as it says what was found.
 * @see docs.aws.amazon.com, "DescribeImageScanFindings" of the Amazon ECR API reference
 */
export const Page = z.object({
  imageScanStatus: z.object({ status: z.string().max(100), description: Text }),
  imageScanFindings: z
    .object({
      imageScanCompletedAt: Instant.nullish(),
      vulnerabilitySourceUpdatedAt: Instant.nullish(),
      findingSeverityCounts: z.record(z.string(), z.number()).nullish(),
      findings: z.array(BasicFinding).nullish(),
      enhancedFindings: z.array(EnhancedFinding).nullish(),
    })
    .nullish(),
  nextToken: Text,
});
export type FindingsPage = z.infer<typeof Page>;

/**
 * What the pages of one answer say. `under-way` says nothing yet, and so do pages of two scans. A scan that found nothing counts
 * only where it came to its end, names its day, and looks at such packages.
 */
export function scannedBy(
  pages: readonly FindingsPage[],
  asked: Asked & { readonly nowMs: number },
): Scanned | 'under-way' {
  const [first] = pages;
  if (first === undefined || pages.some((page) => stateOf(page) !== stateOf(first))) return 'under-way';
  const { status, description } = first.imageScanStatus;
  const parts = pages.flatMap(({ imageScanFindings }) => imageScanFindings ?? []);
  const basic = parts.flatMap(({ findings }) => findings ?? []);
  const enhanced = parts.flatMap(({ enhancedFindings }) => enhancedFindings ?? []);
  const isEnded = status === 'COMPLETE' || status === 'ACTIVE';
  const isEmpty = basic.length === 0 && enhanced.length === 0;
  const days = [first.imageScanFindings?.imageScanCompletedAt, first.imageScanFindings?.vulnerabilitySourceUpdatedAt];
  const isDated = typeof days[0] === 'number';
  const dates = days.flatMap((ms) => (typeof ms === 'number' ? [ms] : []));
  if (UNDER_WAY.includes(status)) return 'under-way';
  if (isEmpty) {
    const why = `${status}${description ? `: ${shorten(description, 200)}` : ''}`;
    if (status === 'FAILED') return { kind: 'broken', why: `Amazon ECR could not scan the image (${why})` };
    if (!isEnded) return { kind: 'no-data', why: `Amazon ECR has nothing to say of the image (${why})` };
    // it is ACTIVE from the beginning, and has no day before the first scan has ended
    if (!isDated && status === 'ACTIVE') return 'under-way';
    if (!isDated) return { kind: 'broken', why: 'Amazon ECR does not say when it scanned the image' };
    const counts = Object.values(first.imageScanFindings?.findingSeverityCounts ?? {});
    if (counts.some((count) => count > 0))
      return { kind: 'broken', why: 'Amazon ECR counted findings, and named none of them' };
  }
  const vulnerabilities = vulnerabilitiesOf(basic, enhanced, asked);
  const isEnhanced = status === 'ACTIVE' || parts.some(({ enhancedFindings }) => Array.isArray(enhancedFindings));
  const [oldest, newest] = dates.length === 0 ? [asked.nowMs, asked.nowMs] : [Math.min(...dates), Math.max(...dates)];
  const state = { status, days, basic, enhanced };
  return {
    kind: 'scanned',
    vulnerabilities,
    unseen:
      isEnded && isDated ? unseenBy(isEnhanced, asked) : `Amazon ECR's scan of the image does not count (${status})`,
    database: {
      source: 'a scan by Amazon ECR',
      digest: sha256Hex(canonicalJson(state)),
      atMs: oldest,
      newestMs: newest,
    },
  };
}

const UNDER_WAY = ['PENDING', 'IN_PROGRESS'];

function stateOf({ imageScanStatus: { status }, imageScanFindings: found }: FindingsPage): string {
  return `${status} ${found?.imageScanCompletedAt ?? ''} ${found?.vulnerabilitySourceUpdatedAt ?? ''}`;
}

/** Basic scanning knows the packages of distributions alone. */
function unseenBy(isEnhanced: boolean, { installed, ecosystems }: Asked): string | null {
  if (isEnhanced) return null;
  const families = new Set(installed.map(({ ecosystem }) => familyOf(ecosystem)));
  const unseen = [...families].filter(
    (family) => !OF_DISTRIBUTIONS.includes(family) && (ecosystems?.includes(family) ?? true),
  );
  return unseen.length === 0 ? null : `Amazon ECR's basic scanning looks at no packages of ${named(unseen.sort())}`;
}
