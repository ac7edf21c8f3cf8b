import { posix } from 'node:path';

import { z } from 'zod';

import { Name, RelativePath } from '../../../lib/fields.ts';
import type { CheckRequest, WrittenPact } from '../../kind.ts';
import { PACT_LIMIT_BYTES, parsePact } from '../../report/pact.ts';
import type { Said } from './reports.ts';
import type { TestsFolder } from './tests-folder.ts';

const Folder = RelativePath.refine((path) => path !== '.', 'a folder of the service, such as pacts');

export const pactFields = {
  pacts: z
    .union(
      [
        Folder.transform((folder) => ({ in: folder, names: {} as Record<string, string> })),
        z.strictObject({
          in: Folder.describe('The folder that the pacts are written to'),
          names: z
            .record(z.string().min(1), Name)
            .default({})
            .describe('What pacts call a service, where that is not its name'),
        }),
      ],
      'a folder of the service, such as pacts',
    )
    .optional()
    .describe('The folder with the pacts that it writes: what this service expects of others'),
};

type Wish = NonNullable<z.output<z.ZodObject<typeof pactFields>>['pacts']>;

const MOST_PACTS = 100;

/** Keeps the pacts that a program has written. One that cannot be read, or names nobody, makes the answer an error. */
export async function sayPacts(
  folder: Pick<TestsFolder, 'list' | 'read'>,
  wish: Wish,
  { service, keepPact }: Pick<CheckRequest<unknown>, 'service' | 'keepPact'>,
): Promise<Said> {
  const wrong = (words: string): Said => ({ verdict: 'error', words, told: {} });
  const files = (await folder.list(wish.in)).filter((name) => name.endsWith('.json'));
  if (files.length === 0) return wrong(`it wrote no pact into ${wish.in}`);
  if (files.length > MOST_PACTS) return wrong(`it wrote ${files.length} pacts, more than ${MOST_PACTS}`);
  const written: WrittenPact[] = [];
  for (const file of files) {
    const read = await folder.read(posix.join(wish.in, file), PACT_LIMIT_BYTES);
    const pact = 'wrong' in read ? read : await parsePact(read.text);
    if ('wrong' in pact) return wrong(`its pact ${file} ${pact.wrong}`);
    const named = (name: string): string => (Object.hasOwn(wish.names, name) ? (wish.names[name] ?? name) : name);
    if (named(pact.consumer) !== service)
      return wrong(`its pact ${file} is one of ${quoted(pact.consumer)}, and this is a check of "${service}"`);
    const provider = named(pact.provider);
    if (!Name.safeParse(provider).success)
      return wrong(
        `its pact ${file} is one with ${quoted(pact.provider)}, and no service can be called so (\`names\` says who is meant)`,
      );
    if (written.some((one) => one.provider === provider))
      return wrong(`it wrote more than one pact with "${provider}": ${file} is the second`);
    await keepPact?.(pact);
    written.push({ provider, digest: pact.digest, interactions: pact.interactions });
  }
  const words = written.map(({ provider, interactions }) => `${provider} (${interactions})`).join(', ');
  return { verdict: 'passed', words: `pacts with ${words}`, told: { pacts: written } };
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}
