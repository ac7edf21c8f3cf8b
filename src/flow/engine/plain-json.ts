import type { DBOSSerializer } from '@dbos-inc/dbos-sdk';

/** A demand on the compiler: what is made is what JSON gives back. */
export type IfPlain<T> = [T] extends [Plain<T>] ? unknown : 'this is not what JSON gives back';

/** What JSON gives back as it was. `never` stands where it would not: for a `Date`, a `Map`, a big integer. */
type Plain<T> = T extends Date | ReadonlyMap<unknown, unknown> | ReadonlySet<unknown> | Uint8Array | bigint | symbol
  ? never
  : T extends object
    ? { [Key in keyof T]: Plain<T[Key]> }
    : T;

/**
 * How the engine writes what workflows are given and what their steps return: all of it is JSON, by the types of `step` and
 * `durable`. Its own form, which can write a `Map` too, takes twenty times as long for the plan of a thousand services.
 * Rows that an earlier version wrote name that form, and are read as they were.
 */
export const plainJson: DBOSSerializer = {
  name: () => 'json',
  // nothing, which steps may return, has no form in JSON
  stringify: (value) => JSON.stringify(value ?? null),
  parse: (text) => JSON.parse(text ?? 'null') as unknown,
};
