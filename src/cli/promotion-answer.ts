import type { DiffView } from '../flow/view/path.ts';
import type { PromoteAnswer, PromotionView, ReasonView } from '../flow/view/promotion.ts';
import type { Context } from './context.ts';
import { EXIT, exitOfState, type ExitCode } from './exit.ts';
import { shortSha, table } from './text.ts';
import { lineOf, waitForEnd } from './wait.ts';

export interface WaitOptions {
  readonly wait?: boolean;
  readonly timeout?: number;
}

/** An approval may take a day; whoever waits for less says so. */
const TIMEOUT_MS = 24 * 3_600_000;

/** Shows what a promotion or a rollback led to, waits for its end when asked, and says so by the exit code. */
export async function showAnswer(context: Context, answer: PromoteAnswer, options: WaitOptions): Promise<ExitCode> {
  if (answer.kind === 'would') {
    context.out.data(answer, (would) => wouldText(context, would));
    return answer.verdict === 'refuse' ? EXIT.refused : EXIT.ok;
  }
  return showPromotion(context, answer.promotion, options);
}

export async function showPromotion(
  context: Context,
  started: PromotionView,
  { wait = false, timeout = TIMEOUT_MS }: WaitOptions,
): Promise<ExitCode> {
  const promotion = wait ? await waitForEnd(context, started, timeout) : started;
  context.out.data(promotion, lineOf);
  if (promotion.endedAt === null) context.out.note(`Follow it with \`towpath why ${promotion.id}\`, or give --wait.`);
  if (promotion.state === 'refused') context.out.note(`\`towpath why ${promotion.id}\` says what to do.`);
  return exitOfState(promotion.state);
}

type Would = Extract<PromoteAnswer, { kind: 'would' }>;

function wouldText({ out }: Context, { verdict, reasons, diff }: Would): string {
  const words = { go: 'It would go at once.', wait: 'It would wait.', refuse: 'It would be refused.' } as const;
  const colour = { go: 'green', wait: 'yellow', refuse: 'red' } as const;
  const parts = [out.paint(colour[verdict], words[verdict]), ...reasons.map(reasonText), diffText(diff)];
  return parts.filter((part) => part !== '').join('\n');
}

export function reasonText({ gate, what, fix, until }: ReasonView): string {
  const end = until === null ? '' : ` (until ${until})`;
  return `- ${gate}: ${what}${end}${fix === null ? '' : `\n  ${fix}`}`;
}

export function diffText({ services, commits, lost }: DiffView): string {
  const short = (digest: string | null) => (digest === null ? '-' : digest.slice(7, 19));
  const rows = services.map(({ service, from, to, same }) => [
    service,
    same ? 'same' : 'differs',
    same ? short(to) : `${short(from)} -> ${short(to)}`,
  ]);
  const log = commits.map(({ sha, author, subject }) => `+ ${shortSha(sha)} ${subject} (${author})`);
  const gone = lost.map(({ sha, author, subject }) => `- ${shortSha(sha)} ${subject} (${author})`);
  return [table(rows), ...log, ...gone].filter((line) => line !== '').join('\n');
}
