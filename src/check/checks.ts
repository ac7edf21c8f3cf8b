import type { CheckDefinition } from './check.ts';
import { CheckError } from './error.ts';
import type { CheckAnswer, CheckKind, CheckRequest, CheckTools } from './kind.ts';
import { command } from './kinds/command/command.ts';
import { httpProbe } from './kinds/http-probe/http-probe.ts';
import { pactBroker } from './kinds/pact-broker/pact-broker.ts';
import { pact } from './kinds/pact/pact.ts';
import { scan } from './kinds/scan/scan.ts';
import { sonar } from './kinds/sonar/sonar.ts';
import { answerOfTries } from './tries.ts';

/** Every kind of check. The first kind whose fields fit is taken. */
export const checks: readonly CheckKind[] = [command, httpProbe, pact, pactBroker, scan, sonar];

/** Whether a check writes pacts of its service, or verifies those that others have with it. */
export function contractsOf(check: CheckDefinition): 'writes' | 'verifies' | null {
  return checks.find(({ name }) => name === check.kind)?.contracts?.(check.definition) ?? null;
}

/** @throws CheckError `check.unknown-kind` for a definition that a newer Towpath has written */
export function kindOf(check: CheckDefinition): CheckKind {
  const kind = checks.find(({ name }) => name === check.kind);
  if (kind !== undefined) return kind;
  throw new CheckError({
    code: 'check.unknown-kind',
    what: `There is no kind of check called "${check.kind}".`,
    fix: 'Upgrade this server to the version that read the configuration.',
  });
}

/**
 * Asks one check, and once more as often as it may be retried while it does not pass. A time limit (of each try) or a
 * cancel ends whatever was started; @throws what Towpath itself could not do
 */
export async function askCheck(
  check: CheckDefinition,
  request: Omit<CheckRequest<unknown>, 'definition' | 'timeoutMs'>,
  tools: CheckTools,
): Promise<CheckAnswer> {
  const tries: CheckAnswer[] = [];
  do {
    request.signal.throwIfAborted();
    if (tries.length > 0) request.log(`try ${tries.length + 1} of ${check.retries + 1}`);
    const answer = await kindOf(check).ask(
      { ...request, definition: check.definition, timeoutMs: check.timeoutMs },
      tools,
    );
    request.signal.throwIfAborted();
    request.log(`check ${request.check} of ${request.service}: ${answer.verdict}: ${answer.summary}`);
    tries.push(answer);
  } while (tries.at(-1)?.verdict !== 'passed' && tries.length <= check.retries);
  return answerOfTries(tries);
}
