import type { PromotionDetail, PromotionState } from './promotion.ts';

/** One sentence on a promotion's state: what it waits for, why it ended, which step failed. */
export function headline(state: PromotionState, detail: PromotionDetail): string {
  const because = (detail.reasons ?? []).map(({ what }) => what).join(' ');
  switch (state) {
    case 'requested':
      return 'Asked for; it is looked at in a moment.';
    case 'evaluating':
      return 'The gates are being looked at.';
    case 'waiting':
      return because === '' ? 'Waits.' : because;
    case 'tagging':
      return 'The artifacts get their names, are copied where the environment has a registry of its own, and migrations run.';
    case 'deploying':
      return detail.note ?? 'The artifacts are being brought in.';
    case 'verifying':
      return 'They run; it is watched whether they are healthy and the right ones.';
    case 'live':
      return detail.note ?? 'Live.';
    case 'refused':
      return because;
    case 'failed':
      return [failureOf(detail), detail.note].filter((part) => part !== undefined).join(' ');
    case 'superseded':
      return `A newer one took its place${detail.by === undefined ? '' : `: ${detail.by}`}.`;
    case 'cancelled':
      if (because !== '') return `Cancelled: ${because}`;
      return `Cancelled${detail.by === undefined ? '' : ` by ${detail.by}`}.`;
    case 'rolled-back':
      return `${failureOf(detail)} Rolled back to ${detail.to ?? 'what ran before'}.`;
    default:
      return state satisfies never;
  }
}

/** A problem may end with somebody else's words, without a full stop. */
function failureOf({ step, problem }: PromotionDetail): string {
  const text = `Failed at ${step ?? 'work'}: ${problem?.what ?? 'unknown'}`;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
