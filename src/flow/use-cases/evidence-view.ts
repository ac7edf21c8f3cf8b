import type { RecordedEvidence } from '../../check/evidence.ts';
import { isFlaky } from '../../check/tries.ts';
import type { EvidenceView } from '../view/release.ts';

export function evidenceView({ id, check, type = null, service, answer, at, logId }: RecordedEvidence): EvidenceView {
  return {
    id,
    check,
    type,
    service,
    verdict: answer.verdict,
    flaky: isFlaky(answer),
    summary: answer.summary,
    at: at.toISOString(),
    logId,
    kept: answer.kept?.files.length ?? 0,
  };
}
