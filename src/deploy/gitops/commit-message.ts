import { shortDigest } from '../../lib/digest.ts';
import type { Desired } from '../driver.ts';

const LONGEST_SUBJECT = 72;

/** What a commit says of the promotion that it is: a line for people, and trailers for programs. */
export function commitMessage(desired: Desired): string {
  const { target, services, operation, promotion } = desired;
  const trailers = [
    ['Promotion', operation],
    ...(promotion === undefined ? [] : [['Release', `${promotion.release} ${promotion.commit}`]]),
    ...services.map(({ service, digest }) => ['Digest', `${service}@${digest}`]),
    ...(promotion?.evidence ?? []).map((evidence) => ['Evidence', evidence]),
  ];
  return [
    subjectOf(desired),
    '',
    ...(promotion === undefined ? [] : [oneLine(`Promotion ${promotion.number} of ${target.project}.`), '']),
    ...trailers.map(([name, value = '']) => `Towpath-${name}: ${oneLine(value)}`),
  ].join('\n');
}

/** `prod: api v1.4.0, web v1.4.0`, within what lists show of a commit. */
export function subjectOf({ target, services }: Desired): string {
  const what = services.map(({ service, tag, digest }) => `${service} ${tag ?? shortDigest(digest)}`).join(', ');
  const subject = oneLine(`${target.environment}: ${what}`);
  return subject.length > LONGEST_SUBJECT ? `${subject.slice(0, LONGEST_SUBJECT - 3)}...` : subject;
}

/** Which promotion a commit says that it is; null for one that is nobody's. */
export function promotionIn(message: string): string | null {
  return /^Towpath-Promotion: (.*)$/m.exec(message)?.[1] ?? null;
}

/** Names hold whatever people write: none of it begins a line of its own. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
}
