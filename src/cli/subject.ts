import { usage } from './cli-error.ts';
import type { Context } from './context.ts';

/** What a command is about: one word, or `promotion 12` as two. @throws CliError for other pairs */
export function subjectOf(word: string, number: string | undefined): string {
  if (number === undefined) return word;
  if (word === 'promotion' && /^#?\d+$/.test(number)) return `promotion ${number.replace('#', '')}`;
  throw usage(`"${word} ${number}" is not one thing.`, 'Name one, or a promotion as `promotion 12`.');
}

/** A number is counted over the installation: of another project than this one it is nobody's. @returns the id */
export async function promotionNumbered(context: Context, subject: string): Promise<string> {
  const promotion = await (await context.client()).call('promotion.show', { params: { promotion: subject } });
  const project = await context.project();
  if (promotion.project === project) return promotion.id;
  throw usage(`There is no ${subject} in ${project}.`, `It is one of ${promotion.project}: give --project.`);
}

export function isNumberedPromotion(subject: string): boolean {
  return /^promotion \d+$/.test(subject);
}
