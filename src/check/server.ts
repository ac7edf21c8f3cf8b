import type { Dispatcher } from 'undici';
import { z } from 'zod';

import { SecretReference } from '../lib/fields.ts';

const Address = z
  .url({ protocol: /^https?$/, error: 'an address such as https://sonar.example.com' })
  .regex(/^[^@?#]*$/, 'an address without a user, a query and a fragment');

/**
 * The piece of towpath.yaml under `servers`: those beside Towpath that checks ask. What the default branch says of them
 * counts alone, for they are given a secret: a branch could name another server.
 */
export const ServersSchema = z.strictObject({
  sonar: z
    .strictObject({
      url: Address,
      token: SecretReference.describe('A token that may browse the projects'),
      webhook: SecretReference.optional().describe('The secret of its webhook, which wakes whoever waits'),
    })
    .optional()
    .describe('SonarQube, or SonarQube Cloud'),
  broker: z
    .strictObject({
      url: Address,
      token: SecretReference.describe('A token that may read, or the password of `user`'),
      user: z.string().min(1).optional().describe('Of a broker that wants a name and a password'),
    })
    .optional()
    .describe('A Pact Broker, or PactFlow'),
});

export type Servers = z.output<typeof ServersSchema>;

/** How one of them is reached. */
export interface OutsideServer {
  readonly url: string;
  /** @throws SecretError */
  readonly token: () => Promise<string>;
  /** @throws TowpathError `outgoing.refused` */
  readonly agentFor: (url: URL) => Dispatcher;
}

/** One that may want a name beside the token. */
export interface OutsideBroker extends OutsideServer {
  readonly user: string | null;
}
