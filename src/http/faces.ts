import type { FastifyBaseLogger } from 'fastify';

import type { Guard } from '../access/guard.ts';
import type { Passes } from '../access/registry-pass.ts';
import type { UseCases } from '../flow/use-cases.ts';
import type { Clock } from '../lib/clock.ts';
import type { AnswerKeeper } from './idempotency.ts';
import type { RegistryHandler } from './registry-door.ts';

/** All that the HTTP face stands on. */
export interface Faces {
  readonly useCases: UseCases;
  readonly guard: Guard;
  readonly answers: AnswerKeeper;
  readonly clock: Clock;
  /** @throws StoreError `store.unreachable` within moments, where the server cannot work */
  readonly ready: () => Promise<void>;
  /** Towpath's own version. */
  readonly version: string;
  /** The folder with the files of the page. */
  readonly web: string;
  /** Absent where another registry is used: `/v2/` is then not found. */
  readonly registry?: RegistryHandler | undefined;
  /** Opens the registry to those who hold one. */
  readonly passes: Passes;
  /** Engines on this machine may pull without a token. Default: no. */
  readonly registryOpenToLoopback?: boolean | undefined;
  /** People reach the server by https (through a proxy that ends TLS): cookies are then marked Secure. */
  readonly secure?: boolean | undefined;
  readonly log?: FastifyBaseLogger | undefined;
  /** Default 15 s. */
  readonly heartbeatMs?: number | undefined;
  /** How long one event stream lasts before its client has to ask again. Default 10 min. */
  readonly maxAgeMs?: number | undefined;
}
