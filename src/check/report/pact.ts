import { z } from 'zod';

import { hashOfJson } from '../../lib/digest.ts';
import { isSoundText } from '../../lib/sound-text.ts';
import { jsonOf } from './measures.ts';
import { type Reading, readingOf, ReportFault } from './report.ts';

/** What a consumer expects of a provider, as its tests have written it down. */
export interface Pact {
  /** The names that the file has. */
  readonly consumer: string;
  readonly provider: string;
  /** Over what is expected, and not over the tools that wrote it nor the order in which its tests ran. */
  readonly digest: string;
  readonly interactions: number;
  readonly text: string;
}

/** A pact above this is not read. */
export const PACT_LIMIT_BYTES = 8 * 1024 * 1024;

const NamedOne = z.looseObject({ name: z.string().min(1).max(200).refine(isSoundText) });
const Version = z.looseObject({ version: z.string() });
const File = z.looseObject({
  consumer: NamedOne,
  provider: NamedOne,
  interactions: z.array(z.looseObject({ description: z.string() })).default([]),
  messages: z.array(z.looseObject({ description: z.string() })).default([]),
  metadata: z
    .looseObject({
      pactSpecification: Version.optional(),
      'pact-specification': Version.optional(),
      pactSpecificationVersion: z.string().optional(),
      plugins: z.array(z.unknown()).optional(),
    })
    .optional(),
});

/** Versions 1 to 4 of the specification. One that wants plug-ins is none that can be verified here. */
export function parsePact(text: string): Promise<Reading<Pact>> {
  return readingOf(text, async () => {
    if (text.length > PACT_LIMIT_BYTES) throw new ReportFault('is too big');
    const { consumer, provider, interactions, messages, metadata = {} } = jsonOf(text, File, 'pact');
    const version =
      metadata.pactSpecification?.version ??
      metadata['pact-specification']?.version ??
      metadata.pactSpecificationVersion ??
      '1'; // the first version said none
    if (!/^[1-4](\.|$)/.test(version))
      throw new ReportFault(`is of version ${JSON.stringify(version.slice(0, 20))} of the specification, not 1 to 4`);
    if ((metadata.plugins ?? []).length > 0) throw new ReportFault('wants plug-ins of Pact, which are not run here');
    if (interactions.length + messages.length === 0) throw new ReportFault('expects nothing');
    const digest = identityOf({
      version: version.slice(0, 1),
      consumer: consumer.name,
      provider: provider.name,
      interactions,
      messages,
    });
    return {
      consumer: consumer.name,
      provider: provider.name,
      digest,
      interactions: interactions.length + messages.length,
      text,
    };
  });
}

function identityOf({
  interactions,
  messages,
  ...rest
}: Readonly<Record<string, unknown>> & {
  readonly interactions: readonly unknown[];
  readonly messages: readonly unknown[];
}): string {
  const inNoOrder = (items: readonly unknown[]): string[] => items.map((item) => hashOfJson(item)).toSorted();
  try {
    return hashOfJson({ v: 1, ...rest, interactions: inNoOrder(interactions), messages: inNoOrder(messages) });
  } catch (error) {
    throw new ReportFault(error instanceof RangeError ? 'is nested too deeply' : 'holds a number that is too big');
  }
}
