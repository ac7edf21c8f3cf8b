import type { Desired } from '../../driver.ts';
import { oneLine, subjectOf } from '../commit-message.ts';
import type { RequestText } from './request-form.ts';

/** What people read who are to merge it. */
export function requestText(desired: Desired): RequestText {
  const { target, services, promotion } = desired;
  const rows = services.map(
    ({ service, tag, digest }) => `| ${code(service)} | ${code(tag ?? '')} | ${code(digest)} |`,
  );
  const evidence = promotion?.evidence ?? [];
  const lines = [
    ...(promotion === undefined
      ? []
      : [
          `Promotion ${promotion.number} of ${code(target.project)} brings the release ${code(promotion.release)} (commit ${code(promotion.commit)}) to ${code(target.environment)}.`,
          '',
        ]),
    '| service | tag | digest |',
    '| --- | --- | --- |',
    ...rows,
    '',
    ...(evidence.length === 0 ? [] : ['Evidence:', '', ...evidence.map((one) => `- ${code(one)}`), '']),
    ...(promotion?.url === undefined ? [] : [`Why, and what it waits for: ${promotion.url}`, '']),
    'Towpath waits until the branch names these digests: a merge, a squash and a rebase all count. Closed without, the promotion fails. A newer promotion to the same place closes this one.',
  ];
  return { title: subjectOf(desired), body: lines.join('\n') };
}

/** Names hold whatever people write: it is shown as it is, calls nobody, and ends no cell of a table. */
function code(text: string): string {
  const line = oneLine(text).replaceAll('`', "'").replaceAll('|', '/').slice(0, 300);
  return line === '' ? '' : `\`${line}\``;
}
