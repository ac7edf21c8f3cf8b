import type { Action, DeployDriver, Target } from '../driver.ts';
import type { DriverStatement } from '../statement.ts';

/** The version of the contract of drivers. It is raised when one that was written for it could not be used any more. */
export const DRIVER_API = 1;

/** What whoever pulls from a registry says there: as a user, or a token that is sent as it is. */
export type RegistryCredentials =
  | { readonly username: string; readonly password: string }
  | { readonly registrytoken: string };

/** What a server lends to a driver. */
export interface DriverTools {
  /** A folder of its own on this server, which is there, and kept over restarts. */
  readonly directory: string;
  /** The value of a secret by its reference: for the moment of use only. @throws TowpathError `secret.*` */
  readonly secretOf: (reference: string) => Promise<string>;
  /** Blackens the values of secrets in a text, however they are written there. */
  readonly redact: (text: string, values: Iterable<string>) => string;
  /**
   * Remembers the highest fencing token of a target on this server, for a driver whose place cannot. Call it before each thing
   * that is done. @throws TowpathError `deploy.fenced`: stop, and touch nothing more
   */
  readonly claim: (target: Target, token: bigint) => Promise<void>;
  /** The target is gone: one of its name that is made later counts from one again. */
  readonly forget: (target: Target, token: bigint) => Promise<void>;
  /** What whoever pulls an image from a registry needs to say there; null for nothing. Asked anew for each pull. */
  readonly credentials: (host: string, repository: string) => Promise<RegistryCredentials | null>;
}

/** What a driver does; what it says of itself stands beside. */
export type DriverWork<Config = unknown, A extends Action = Action> = Omit<
  DeployDriver<Config, A>,
  keyof DriverStatement
>;

/** The default export of a module that holds a driver. */
export interface DriverModule<Config = unknown, A extends Action = Action> extends DriverStatement<Config> {
  /** The version of the contract that it was written for. */
  readonly api: number;
  /** Called once by each server that starts. */
  make(tools: DriverTools): DriverWork<Config, A>;
}

/** Gives a module back as it is, with types filled in: `export default defineDriver({ ... })`. */
export function defineDriver<Config, A extends Action>(
  module: DriverModule<Config, A> & { readonly api: typeof DRIVER_API },
): DriverModule<Config, A> {
  return module;
}
