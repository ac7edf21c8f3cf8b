import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';

import type { PromotionFacts } from './facts.ts';

/**
 * What a rule may speak of. Evidence and approvals are not among it: gates of their own decide over them, and so no rule can
 * make a failure a reason to go on.
 */
export function namesFor({ release, promotion, environment, order, currentName, authors, committers }: PromotionFacts) {
  return {
    release: { name: release.name, mixed: release.mixed },
    promotion: { automatic: promotion.automatic, by: promotion.requestedBy },
    environment: { name: environment.name, runs: currentName ?? '' },
    order,
    authors: authors.map(({ name, email }) => ({ name, email })),
    committers: committers.map(({ name, email }) => ({ name, email })),
  };
}

type Names = ReturnType<typeof namesFor>;

export type RuleAnswer = boolean | { readonly unanswered: string };

/** Whether the rule holds (CEL, the Common Expression Language: cel.dev). It reads, ends, and has no clock. */
export function holds(rule: string, names: Names): RuleAnswer {
  const answer = programOf(rule)(names);
  if (isCelError(answer)) return { unanswered: answer.message };
  return typeof answer === 'boolean' ? answer : { unanswered: 'it is neither true nor false' };
}

/** Where each list has one entry, a rule that speaks of what there is can be answered. @returns null when it can be used */
export function faultOf(rule: string): string | null {
  try {
    const { expr } = parse(rule);
    if (loopsIn(expr) > MOST_LOOPS) return `has more than ${MOST_LOOPS} loops in each other`;
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^<input>:/, '') : 'cannot be read';
  }
  const answer = holds(rule, SAMPLE);
  return typeof answer === 'boolean' || answer.unanswered.startsWith('index ') ? null : answer.unanswered;
}

type Expr = ReturnType<typeof parse>['expr'];

const MOST_LOOPS = 2;

const ANA = { name: 'Ana', email: 'ana@shop.example' };
const SAMPLE: Names = {
  release: { name: 'v1.0.0', mixed: false },
  promotion: { automatic: true, by: 'tag v1.0.0' },
  environment: { name: 'prod', runs: 'v0.9.0' },
  order: 'newer',
  authors: [ANA],
  committers: [ANA],
};

type Program = (names: Names) => ReturnType<ReturnType<typeof plan>>;

const programs = new Map<string, Program>();
const MOST_PROGRAMS = 500;

function programOf(rule: string): Program {
  const known = programs.get(rule);
  if (known !== undefined) return known;
  if (programs.size >= MOST_PROGRAMS) programs.clear();
  const program = plan(celEnv(), parse(rule));
  programs.set(rule, program);
  return program;
}

/** How many loops are in each other at most: what bounds the time that a rule takes. */
function loopsIn(expr: Expr | undefined): number {
  const { exprKind: kind } = expr ?? {};
  switch (kind?.case) {
    case 'comprehensionExpr': {
      const { iterRange, accuInit, loopCondition, loopStep, result } = kind.value;
      return Math.max(loopsIn(iterRange), 1 + deepest([accuInit, loopCondition, loopStep, result]));
    }
    case 'selectExpr':
      return loopsIn(kind.value.operand);
    case 'callExpr':
      return deepest([kind.value.target, ...kind.value.args]);
    case 'listExpr':
      return deepest(kind.value.elements);
    case 'structExpr':
      return deepest(
        kind.value.entries.flatMap(({ keyKind, value }) => [
          keyKind.case === 'mapKey' ? keyKind.value : undefined,
          value,
        ]),
      );
    default:
      return 0;
  }
}

function deepest(parts: readonly (Expr | undefined)[]): number {
  return Math.max(0, ...parts.map(loopsIn));
}
