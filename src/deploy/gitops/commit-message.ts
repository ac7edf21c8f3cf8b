import { shortDigest } from '../../lib/digest.ts';
import type { Desired } from '../driver.ts';

const LONGEST_SUBJECT = 72;

/** What a commit says of the promotion that it is: a line for people, and trailers for programs. */
export function commitMessage({ target, services, operation, promotion }: Desired): string {
  const what = services.map(({ service, tag, digest }) => `${service} ${tag ?? shortDigest(digest)}`).join(', ');
  const subject = oneLine(`${target.environment}: ${what}`);
  const trailers = [
    ['Promotion', operation],
    ...(promotion === undefined ? [] : [['Release', `${promotion.release} ${promotion.commit}`]]),
    ...services.map(({ service, digest }) => ['Digest', `${service}@${digest}`]),
    ...(promotion?.evidence ?? []).map((evidence) => ['Evidence', evidence]),
  ];
  return [
    subject.length > LONGEST_SUBJECT ? `${subject.slice(0, LONGEST_SUBJECT - 3)}...` : subject,
    '',
    ...(promotion === undefined ? [] : [oneLine(`Promotion ${promotion.number} of ${target.project}.`), '']),
    ...trailers.map(([name, value = '']) => `Towpath-${name}: ${oneLine(value)}`),
  ].join('\n');
}

/** Names hold whatever people write: none of it begins a line of its own. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
}
