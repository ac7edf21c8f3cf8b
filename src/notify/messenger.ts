import type { Dispatcher } from 'undici';
import type { z } from 'zod';

import type { Message } from './message.ts';
import type { Verdict } from './verdict.ts';

/** A kind of channel: how a message reaches people, or the programs that they have. */
export interface Messenger<Settings = unknown> {
  /** The key in `towpath.yaml`. */
  readonly name: string;
  readonly config: z.ZodType<Settings>;
  /** It is told each fact as an event for programs, and nothing of what people are told. */
  readonly ofEvents?: true;
  /** Sends once. Whatever goes wrong is a verdict: whoever asks writes it down and decides when it is tried again. */
  send(letter: Letter<Settings>, means: Means): Promise<Verdict>;
}

export interface Letter<Settings> {
  /** The same at each try. */
  readonly id: string;
  readonly message: Message;
  readonly settings: Settings;
  /** An address; nothing where the channel is one receiver. */
  readonly receiver: string;
  /** Of the message that this one mends: what broke and is fixed now. */
  readonly mends: string | null;
}

/** What messengers work with. */
export interface Means {
  readonly now: () => number;
  /** Follows a reference to a secret, at the moment of use. */
  readonly secretOf: (reference: string) => Promise<string>;
  /** Fenced: addresses come from a configuration. @throws TowpathError `outgoing.refused` */
  readonly agentFor: (url: URL) => Dispatcher;
  /** The mail server of the installation; null where there is none. */
  readonly mail: MailServer | null;
  readonly signal: AbortSignal;
}

export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** `tls`: from the first byte; `starttls`: before anything is said; `none`: never. */
  readonly encryption: 'tls' | 'starttls' | 'none';
  readonly user: string | null;
  /** A reference. */
  readonly password: string | null;
  readonly from: string;
  /** Trusted for it alone, beside those whom Node trusts. */
  readonly authority?: string;
}
