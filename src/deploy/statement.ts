import type { z } from 'zod';

/**
 * What a driver can do, in the words of its page. One that cannot says so, that nobody takes its silence for success: what
 * needs it is refused, and the conformance kit does not ask it.
 */
export const ABILITIES = {
  replicas: 'their digests and health are seen',
  settings: '`config` and `secrets` are given; without, an environment with some is refused',
  addresses: 'a stable URL, and requests that are under way at the switch are answered',
  output: 'what is printed can be read',
  'one-switch':
    'all services change at one moment; without, where one fails, the others have run the new version before they are put back',
  end: 'what runs is ended with its environment; without, there are no previews',
  jobs: 'programs run to their end before a release ([migrations](path.md#migrations)); without, an environment of a service with one is refused',
  isolation:
    'what strangers wrote is kept from the files, the network and the other services of the machine; without, there are no pull requests of forks',
} as const;

export type Lack = keyof typeof ABILITIES;

/** What a driver says of itself, before there is one. */
export interface DriverStatement<Config = unknown> {
  /** As `deploy` in towpath.yaml names it. */
  readonly name: string;
  /** Of its settings in towpath.yaml; with a default for each, the bare name is enough there. */
  readonly config: z.ZodType<Config>;
  readonly lacks: readonly Lack[];
}
