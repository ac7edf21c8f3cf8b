import { z } from 'zod';

import { type Reading, readingOf, ReportFault, shorten } from './report.ts';

/** Levels of SARIF that a finding may have, the worst first. */
export const LEVELS = ['error', 'warning', 'note'] as const;
export type Level = (typeof LEVELS)[number];

export interface Findings {
  readonly counts: Readonly<Record<Level, number>>;
  /** The first of them, the worst first. */
  readonly first: readonly Finding[];
}

export interface Finding {
  readonly level: Level;
  readonly rule: string;
  readonly message: string;
  /** `src/a.ts:12`, as the tool has it; empty where it says none. */
  readonly where: string;
}

const SHOWN = 50;

const Text = z.string().default('');
const RuleReference = z.object({ id: z.string().optional(), index: z.int().optional() });
const Result = z.object({
  ruleId: z.string().optional(),
  ruleIndex: z.int().optional(),
  rule: RuleReference.optional(),
  kind: z.string().optional(),
  level: z.enum(['none', ...LEVELS]).optional(),
  baselineState: z.string().optional(),
  message: z.object({ text: Text, id: Text }),
  suppressions: z.array(z.object({ status: z.string().optional() })).nullish(),
  locations: z
    .array(
      z.object({
        physicalLocation: z
          .object({
            artifactLocation: z.object({ uri: Text }).optional(),
            region: z.object({ startLine: z.int().optional() }).optional(),
          })
          .optional(),
      }),
    )
    .nullish(),
});
const Rule = z.object({
  id: z.string(),
  defaultConfiguration: z.object({ level: z.enum(['none', ...LEVELS]).optional() }).optional(),
});
const Log = z.object({
  version: z.literal('2.1.0'),
  runs: z
    .array(
      z.object({
        tool: z.object({ driver: z.object({ name: z.string(), rules: z.array(Rule).nullish() }) }),
        invocations: z.array(z.object({ executionSuccessful: z.boolean().optional() })).nullish(),
        results: z.array(Result).nullish(),
      }),
    )
    .nonempty(),
});

/**
 * Reads a log of static analysis (SARIF 2.1.0). What somebody suppressed, what a baseline says is gone and what is no
 * failure is not counted. A tool that says that it did not come to its end, or that has looked for nothing, proved nothing.
 */
export function parseSarif(text: string): Promise<Reading<Findings>> {
  return readingOf(text, async () => {
    const counts = { error: 0, warning: 0, note: 0 };
    const shown: Record<Level, Finding[]> = { error: [], warning: [], note: [] };
    for (const { tool, invocations, results } of logOf(text).runs) {
      const { name } = tool.driver;
      if (invocations?.some(({ executionSuccessful }) => executionSuccessful === false))
        throw new ReportFault(`says that ${shorten(name, 80)} did not come to its end`);
      if (results === null || results === undefined)
        throw new ReportFault(`says that ${shorten(name, 80)} looked for nothing`);
      const rules = tool.driver.rules ?? [];
      for (const result of results) {
        const rule =
          rules[result.ruleIndex ?? result.rule?.index ?? -1] ?? rules.find(({ id }) => id === result.ruleId);
        const level = levelOf(result, rule);
        if (level === 'none') continue;
        counts[level]++;
        if (shown[level].length < SHOWN) shown[level].push(findingOf(level, result, rule));
      }
    }
    return { counts, first: LEVELS.flatMap((level) => shown[level]).slice(0, SHOWN) };
  });
}

function logOf(text: string): z.infer<typeof Log> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ReportFault('is not JSON');
  }
  const log = Log.safeParse(json);
  if (log.success) return log.data;
  const [issue] = log.error.issues;
  throw new ReportFault(`is not SARIF 2.1.0 (${shorten(`${issue?.path.join('.')}: ${issue?.message}`, 120)})`);
}

/** Section 3.27.10: a level of its own, else none where it is no failure, else that of its rule, else a warning. */
function levelOf(result: z.infer<typeof Result>, rule: z.infer<typeof Rule> | undefined): Level | 'none' {
  const suppressions = result.suppressions ?? [];
  const isSuppressed =
    suppressions.length > 0 && suppressions.every(({ status }) => status === undefined || status === 'accepted');
  if (isSuppressed || result.baselineState === 'absent') return 'none';
  if (result.kind !== undefined && result.kind !== 'fail') return 'none';
  return result.level ?? rule?.defaultConfiguration?.level ?? 'warning';
}

function findingOf(level: Level, result: z.infer<typeof Result>, rule: z.infer<typeof Rule> | undefined): Finding {
  const place = result.locations?.[0]?.physicalLocation;
  const line = place?.region?.startLine;
  return {
    level,
    rule: shorten(result.ruleId ?? result.rule?.id ?? rule?.id ?? '', 100),
    message: shorten(result.message.text || result.message.id, 300),
    where: `${shorten(place?.artifactLocation?.uri ?? '', 200)}${line === undefined ? '' : `:${line}`}`,
  };
}
