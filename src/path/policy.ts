import type { PromotionFacts } from './facts.ts';
import type { Reason } from './promotion.ts';
import { decideGate } from './gates.ts';

/**
 * The policy's answer. `wait` says what for, and when to look again at the latest; `refuse` is final for this promotion.
 * `checks` names the checks that have to be asked before it can go on.
 */
export type Decision =
  | { readonly kind: 'go' }
  | {
      readonly kind: 'wait';
      readonly reasons: readonly Reason[];
      readonly wakeAtMs?: number;
      readonly checks: readonly WantedCheck[];
    }
  | { readonly kind: 'refuse'; readonly reasons: readonly Reason[] };

/** A check that has to be asked, also where it was answered before `sinceMs`; or `can-i-deploy`, for what is open of contracts. */
export interface WantedCheck {
  readonly check: string;
  readonly sinceMs?: number;
  /** Of contracts, which are open: once one of these is answered, what is then open is another wish. */
  readonly questions?: readonly string[];
}

/** What one gate says. Of a pass the reason says what it rests upon, and until when that holds. */
export type GateVerdict =
  | { readonly kind: 'pass'; readonly reason?: Reason }
  | {
      readonly kind: 'wait';
      readonly reason: Reason;
      readonly wakeAtMs?: number;
      readonly checks?: readonly WantedCheck[];
    }
  | { readonly kind: 'refuse'; readonly reason: Reason };

/** May this release go into this environment now? Refusals win over waits; every reason is named, not only the first. */
export function decidePromotion(facts: PromotionFacts): Decision {
  const verdicts = verdictsOf(facts);
  const refusals = verdicts.flatMap((verdict) => (verdict.kind === 'refuse' ? [verdict.reason] : []));
  if (refusals.length > 0) return { kind: 'refuse', reasons: refusals };
  const waits = verdicts.flatMap((verdict) => (verdict.kind === 'wait' ? [verdict] : []));
  if (waits.length === 0) return { kind: 'go' };
  const wakes = waits.flatMap(({ wakeAtMs }) => (wakeAtMs === undefined ? [] : [wakeAtMs]));
  return {
    kind: 'wait',
    reasons: waits.map(({ reason }) => reason),
    ...(wakes.length === 0 ? {} : { wakeAtMs: Math.min(...wakes) }),
    checks: eachOnce(waits.flatMap(({ checks }) => checks ?? [])),
  };
}

/** One condition and how it stands; those that hold too, as far as there is something to say. */
export interface Finding {
  readonly verdict: GateVerdict['kind'];
  readonly reason: Reason;
}

/** The same verdicts that the decision is made from, each with its reason. */
export function explainPromotion(facts: PromotionFacts): readonly Finding[] {
  return verdictsOf(facts).flatMap(({ kind: verdict, reason }) => (reason === undefined ? [] : [{ verdict, reason }]));
}

function verdictsOf(facts: PromotionFacts): GateVerdict[] {
  const released = decideRelease(facts);
  // without artifacts there is nothing that the other conditions could be asked of
  if (facts.release.state !== 'ready') return [released];
  return [released, ...(facts.promotion.kind === 'rollback' ? [] : decidePath(facts))];
}

/** Of several gates that want one check, the one that wants the newest answer. */
function eachOnce(checks: readonly WantedCheck[]): WantedCheck[] {
  const wanted = new Map<string, WantedCheck>();
  for (const one of checks) if ((one.sinceMs ?? 0) >= (wanted.get(one.check)?.sinceMs ?? 0)) wanted.set(one.check, one);
  return [...wanted.values()];
}

/** What holds for a rollback too: there is something to run, and nobody barred it. */
function decideRelease({ release }: PromotionFacts): GateVerdict {
  if (release.yanked !== null) {
    return refuse(
      'yank',
      `${release.name} is yanked: ${release.yanked}.`,
      'Promote another release, or lift the yank with `towpath unyank`.',
    );
  }
  if (release.state === 'building') return { kind: 'wait', reason: { gate: 'artifact', what: whatIsBuilt(release) } };
  if (release.state === 'failed') {
    const near = release.nearest.length === 0 ? '' : ` Nearest that has them: ${release.nearest.join(', ')}.`;
    return refuse(
      'artifact',
      `${release.name} cannot run: ${release.problem ?? 'it has no artifacts.'}`,
      `Fix the build and push, or promote a release that has every artifact.${near}`,
    );
  }
  return { kind: 'pass' };
}

function whatIsBuilt({ name, problem }: PromotionFacts['release']): string {
  return problem === null ? `The artifacts of ${name} are being built.` : `${name} is not built yet. ${problem}`;
}

function decidePath(facts: PromotionFacts): GateVerdict[] {
  return [
    decideOrder(facts),
    decideBar(facts),
    decideHold(facts),
    decideMix(facts),
    decidePredecessors(facts),
    ...facts.environment.gates.map((gate) => decideGate(gate, facts)),
  ];
}

/**
 * Invariant 5: by itself, nothing newer is overwritten by something older, also where any is accepted; there another line
 * of history may come in. A person may step back; that sets a hold.
 */
function decideOrder({ order, promotion, environment, release, currentName }: PromotionFacts): GateVerdict {
  if (!promotion.automatic) return { kind: 'pass' };
  if (order === 'older') {
    return refuse(
      'order',
      `${release.name} is older than ${currentName ?? 'what'} that runs in ${environment.name}.`,
      `To go back on purpose: \`towpath rollback ${environment.name}\`.`,
    );
  }
  if (order === 'diverged' && environment.accepts === 'path') {
    return refuse(
      'order',
      `${release.name} and ${currentName ?? 'what'} that runs in ${environment.name} are on lines of history that do not contain each other.`,
      'If history was rewritten on purpose, promote it by hand.',
    );
  }
  return { kind: 'pass' };
}

function decideBar({ failedHere, promotion, release, environment }: PromotionFacts): GateVerdict {
  if (failedHere === null || !promotion.automatic) return { kind: 'pass' };
  return refuse(
    'failed-before',
    `The artifacts of ${release.name} failed in ${environment.name} (promotion ${failedHere.promotion}): ${failedHere.what}`,
    `\`towpath promote ${release.name} ${environment.name}\` tries it again by hand. Other artifacts, or a corrected environment or check in towpath.yaml, come in by themselves.`,
  );
}

function decideHold({ environment, promotion }: PromotionFacts): GateVerdict {
  if (environment.hold === null || !promotion.automatic) return { kind: 'pass' };
  return {
    kind: 'wait',
    reason: {
      gate: 'hold',
      what: `${environment.name} is on hold since ${environment.hold.by} said: ${environment.hold.reason}`,
      fix: `\`towpath resume ${environment.name}\` lets it move again.`,
    },
  };
}

function decideMix({ release, environment }: PromotionFacts): GateVerdict {
  if (!release.mixed || environment.accepts === 'any') return { kind: 'pass' };
  return refuse(
    'mix',
    `${release.name} takes its services from several commits, and ${environment.name} only accepts whole ones.`,
    `Use an environment with \`accepts: any\`, or merge first.`,
  );
}

/** These very artifacts must have lived in one of the environments before; which commit brought them does not matter. */
function decidePredecessors({ predecessors, environment, release, promotion }: PromotionFacts): GateVerdict {
  const { from } = environment;
  if (from.length === 0 || predecessors.some(({ ranMs }) => ranMs !== null)) return { kind: 'pass' };
  const reason: Reason = {
    gate: 'from',
    what: `${release.name} has not been live in ${from.join(' or ')}, which comes before ${environment.name}.`,
    fix: `Promote it to ${from.join(' or ')} first.`,
  };
  return promotion.automatic ? { kind: 'wait', reason } : { kind: 'refuse', reason };
}

function refuse(gate: string, what: string, fix: string): GateVerdict {
  return { kind: 'refuse', reason: { gate, what, fix } };
}
