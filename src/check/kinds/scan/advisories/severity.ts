import { fromVector } from 'ae-cvss-calculator';

import type { Advisory, Affected } from '../../../advisory.ts';

/** How bad a vulnerability is, the worst first; `unrated` is one of which nobody says. */
export const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const;
export type Severity = (typeof SEVERITIES)[number];
export type Rating = Severity | 'unrated';

/** The worst that any of those says who rated it: scores by CVSS, words of GitHub and of Debian. */
export function ratingOf(advisory: Advisory, affected: readonly Affected[]): Rating {
  if (advisory.id.startsWith('MAL-')) return 'critical'; // a package that was published to do harm
  const vectors = [advisory.severity, ...affected.map(({ severity }) => severity)].flatMap((one) => one ?? []);
  const words = [
    advisory.database_specific?.severity,
    ...affected.flatMap((one) => [one.database_specific?.severity, one.ecosystem_specific?.urgency]),
  ];
  const said = new Set([...vectors.map(({ score }) => ofScore(score) ?? ofWord(score)), ...words.map(ofWord)]);
  return SEVERITIES.find((severity) => said.has(severity)) ?? 'unrated';
}

/** Is one at least as bad as the other? */
export function isAtLeast(rating: Severity, limit: Severity): boolean {
  return SEVERITIES.indexOf(rating) <= SEVERITIES.indexOf(limit);
}

/** @see https://www.first.org/cvss/v3.1/specification-document, section 5 */
function ofScore(vector: string): Severity | null {
  const score = scoreOf(vector);
  if (score === null || !(score > 0)) return null;
  if (score >= 9) return 'critical';
  if (score >= 7) return 'high';
  return score >= 4 ? 'medium' : 'low';
}

function scoreOf(vector: string): number | null {
  if (/^\d+(\.\d+)?$/.test(vector)) return Number(vector);
  try {
    return fromVector(vector)?.calculateScores().overall ?? null;
  } catch {
    return null;
  }
}

const WORDS: Readonly<Record<string, Severity>> = {
  critical: 'critical',
  high: 'high',
  important: 'high',
  moderate: 'medium',
  medium: 'medium',
  low: 'low',
  negligible: 'low',
  unimportant: 'low',
};

function ofWord(word: string | undefined): Severity | null {
  return WORDS[word?.toLowerCase() ?? ''] ?? null;
}
