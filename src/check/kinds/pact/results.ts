import { z } from 'zod';

import type { CheckAnswer, Contract } from '../../kind.ts';
import { shorten } from '../../report/report.ts';

const Mismatch = z.looseObject({
  mismatch: z.string().optional(),
  path: z.string().optional(),
  key: z.string().optional(),
  type: z.string().optional(),
  expected: z.unknown(),
  actual: z.unknown(),
});

const Results = z.looseObject({
  result: z.boolean(),
  errors: z
    .array(
      z.looseObject({
        interaction: z.string(),
        mismatch: z.looseObject({
          type: z.string(),
          message: z.string().optional(),
          mismatches: z.array(Mismatch).default([]),
        }),
      }),
    )
    .default([]),
  interactionResults: z.array(z.looseObject({ description: z.string(), result: z.string() })).default([]),
  pendingErrors: z.array(z.unknown()).default([]),
});

const KEPT = 10;
const NAMED = 2;
const LONGEST = 300;
const LONGEST_SPOKEN = 120;

/**
 * What the verifier found, as it says it in JSON. A state that could not be brought about says nothing of the contract, and
 * neither does a pact of which no interaction was verified.
 */
export function answerOfResults(json: string | null, pact: Pick<Contract, 'consumer' | 'digest'>): CheckAnswer {
  const contract = { consumer: pact.consumer, digest: pact.digest, broken: [] };
  const found = json === null ? null : parse(json);
  if (found === null) return { verdict: 'error', summary: 'the verifier of Pact ended without a result', contract };
  const { result, errors, interactionResults, pendingErrors } = found;
  const kept = interactionResults.filter((one) => one.result === 'OK').length;
  if (result && errors.length === 0) {
    const pending = pendingErrors.length === 0 ? '' : `, ${pendingErrors.length} pending`;
    if (kept === 0)
      return {
        verdict: 'error',
        summary: `it proved nothing of what ${pact.consumer} expects: no interaction was verified${pending}`,
        contract,
      };
    return { verdict: 'passed', summary: `it keeps to what ${pact.consumer} expects (${kept}${pending})`, contract };
  }
  const broken = errors.map(({ interaction, mismatch }) => ({
    interaction: shorten(nameOf(interaction), LONGEST),
    why: shorten(whyOf(mismatch), LONGEST),
  }));
  const unasked =
    errors.length > 0 &&
    errors.every(({ mismatch: { type, message = '' } }) => type === 'error' && NO_STATE.test(message));
  const spoken = broken
    .slice(0, NAMED)
    .map(({ interaction, why }) => shorten(`"${interaction}": ${why}`, LONGEST_SPOKEN));
  const more = broken.length > NAMED ? `, and ${broken.length - NAMED} more` : '';
  const words = `${spoken.join('; ')}${more}`;
  return unasked
    ? { verdict: 'error', summary: `a state could not be brought about: ${words}`, contract }
    : {
        verdict: 'failed',
        summary: `it breaks what ${pact.consumer} expects${words === '' ? '' : `: ${words}`}`,
        contract: { ...contract, broken: broken.slice(0, KEPT) },
      };
}

const NO_STATE = /state change handlers? (has|have) failed/;

function parse(json: string): z.output<typeof Results> | null {
  try {
    return Results.parse(JSON.parse(json));
  } catch {
    return null;
  }
}

/** "Verifying a pact between web and api Given tea is sold - the price of tea" */
function nameOf(interaction: string): string {
  const at = interaction.indexOf(' - ');
  return at < 0 ? interaction : interaction.slice(at + ' - '.length);
}

function whyOf({ message, mismatches }: z.output<typeof Results>['errors'][number]['mismatch']): string {
  const each = mismatches.map(({ mismatch, path, key, type, expected, actual }) => {
    const where = path ?? key ?? '';
    const what = mismatch ?? `${type ?? 'it'}: expected ${spoken(expected)}, got ${spoken(actual)}`;
    return where === '' || what.includes(where) ? what : `${where}: ${what}`;
  });
  return each.length > 0 ? each.join('; ') : (message ?? 'it is not kept');
}

function spoken(value: unknown): string {
  return shorten(typeof value === 'string' ? value : JSON.stringify(value), 80);
}
