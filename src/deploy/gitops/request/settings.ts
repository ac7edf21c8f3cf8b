import { z } from 'zod';

import { LongWait } from '../../../lib/fields.ts';

const DAY_MS = 86_400_000;

/** What the API of a host is asked with: never a private key, which no API takes. */
const Token = z
  .string('a reference to a secret: env:NAME, file:/path or github-app:...')
  .regex(
    /^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:\/\P{Cc}+|github-app:\P{Cc}+)$/u,
    'a reference to a secret: env:NAME, file:/path or github-app:...',
  );

const Settings = z.strictObject({
  credential: Token.optional().describe(
    'What opens it at the host: a reference to a token. The credential of the repository, where that is one',
  ),
  within: LongWait.default(7 * DAY_MS).describe('How long it is waited for people to merge it (7d)'),
});

/** How a change goes through a pull (merge) request; undefined: it is pushed. */
export const RequestSchema = z
  .union([z.boolean(), Settings], '`true`, or the settings of the request')
  .transform((said) => (typeof said === 'object' ? said : said ? Settings.parse({}) : undefined));
