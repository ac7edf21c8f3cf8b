import type { PromotionView } from '../flow/view/promotion.ts';
import { hasCode, problemOf } from '../lib/error.ts';
import { CliError } from './cli-error.ts';
import type { Context } from './context.ts';
import { EXIT } from './exit.ts';
import { showPromotion, type WaitOptions } from './promotion-answer.ts';
import { isNumberedPromotion, promotionNumbered, subjectOf } from './subject.ts';
import { duration, needs, type Verb } from './verb.ts';
import { lineOf } from './wait.ts';

interface Options extends WaitOptions {
  readonly comment?: string;
}

const SUBJECT = 'a promotion, or the environment that it waits for';
const NUMBER = 'after the word `promotion`: which one';

export const approve: Verb = (program, run) => {
  program
    .command('approve')
    .description('approve a promotion that waits for it')
    .argument('<subject>', SUBJECT)
    .argument('[number]', NUMBER)
    .option('--comment <text>', 'kept with the approval')
    .option('--wait', 'until the promotion has ended')
    .option('--timeout <duration>', 'how long to wait, such as 10m', duration)
    .addHelpText('after', needs('promotion.approve'))
    .action(
      run<Options>(async (context, { comment, ...options }, subject = '', number) => {
        const promotion = await openPromotion(context, subjectOf(subject, number));
        const question = { params: { promotion }, body: comment === undefined ? {} : { comment } };
        const answer = await (await context.client()).call('promotion.approve', question);
        return showPromotion(context, answer, options);
      }),
    );
};

export const reject: Verb = (program, run) => {
  program
    .command('reject')
    .description('reject a promotion that waits for approval')
    .argument('<subject>', SUBJECT)
    .argument('[number]', NUMBER)
    .option('--reason, --comment <text>', 'why')
    .addHelpText('after', needs('promotion.reject'))
    .action(
      run<{ comment?: string }>(async (context, { comment }, subject = '', number) => {
        const promotion = await openPromotion(context, subjectOf(subject, number));
        const question = { params: { promotion }, body: comment === undefined ? {} : { comment } };
        context.out.data(await (await context.client()).call('promotion.reject', question), lineOf);
        return EXIT.ok;
      }),
    );
};

export const cancel: Verb = (program, run) => {
  program
    .command('cancel')
    .description('cancel a promotion that has not ended')
    .argument('<subject>', SUBJECT)
    .argument('[number]', NUMBER)
    .addHelpText('after', needs('promotion.cancel'))
    .action(
      run(async (context, _options, subject = '', number) => {
        const promotion = await openPromotion(context, subjectOf(subject, number));
        context.out.data(await (await context.client()).call('promotion.cancel', { params: { promotion } }), lineOf);
        return EXIT.ok;
      }),
    );
};

/** An environment's name means the one promotion that is on its way into it; anything else is taken for an id. */
async function openPromotion(context: Context, subject: string): Promise<string> {
  if (isNumberedPromotion(subject)) return promotionNumbered(context, subject);
  const open = await openIn(context, subject);
  if (open === null) return subject;
  const [only, ...others] = open;
  if (only === undefined || others.length > 0)
    throw new CliError({
      code: 'cli.subject-ambiguous',
      what: only === undefined ? `Nothing waits for ${subject}.` : `${open.length} promotions wait for ${subject}.`,
      fix: only === undefined ? 'See `towpath status`.' : `Name one of them: ${open.map(({ id }) => id).join(', ')}.`,
    });
  return only.id;
}

async function openIn(context: Context, environment: string): Promise<readonly PromotionView[] | null> {
  const client = await context.client();
  try {
    return (await client.call('environment.show', { params: { project: await context.project(), environment } })).open;
  } catch (error) {
    // A promotion's id needs no project, and is the name of no environment.
    if (hasCode(error, 'cli.usage-invalid') || problemOf(error).code.startsWith('environment.')) return null;
    throw error;
  }
}
