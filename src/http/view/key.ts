import { z } from 'zod';

import type { RevokedKeyView, SigningKeyView } from '../../flow/view/key.ts';
import { Instant, listOf, view } from './view.ts';

export const SigningKey = view<SigningKeyView>()('SigningKey', {
  hint: z.string().describe('How bundles name it: SHA-256 of the public key, in base64'),
  state: z
    .enum(['active', 'retired', 'revoked'])
    .describe('active: it signs; retired: what it signed stays true; revoked: nothing that it signed counts'),
  pem: z.string().describe('The public key'),
  since: Instant,
  until: Instant.nullable().describe('Since when it signs no more'),
  revoked: z.object({ at: Instant, by: z.string(), reason: z.string() }).nullable(),
});

export const RevokedKey = view<RevokedKeyView>()('RevokedKey', {
  keys: listOf(SigningKey),
  signedAnew: z.number().describe('How many statements are signed anew'),
});
