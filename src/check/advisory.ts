import { z } from 'zod';

const Text = z.string().max(2000);
const Severity = z.array(z.object({ type: z.string(), score: z.string() })).nullish();

const Affected = z.object({
  package: z.object({ ecosystem: Text, name: Text }).nullish(),
  severity: Severity,
  ranges: z
    .array(
      z.object({
        type: z.string(),
        events: z.array(
          z.object({
            introduced: Text.optional(),
            fixed: Text.optional(),
            last_affected: Text.optional(),
            limit: Text.optional(),
          }),
        ),
      }),
    )
    .nullish(),
  versions: z.array(Text).nullish(),
  ecosystem_specific: z
    .object({ urgency: z.string().optional().catch(undefined) })
    .nullish()
    .catch(undefined),
  database_specific: z
    .object({ severity: z.string().optional().catch(undefined) })
    .nullish()
    .catch(undefined),
});

/**
 * A record of the OSV schema, as far as it says what is affected and how badly.
 * @see https://ossf.github.io/osv-schema/
 */
export const Advisory = z.object({
  id: Text.min(1),
  modified: z.iso.datetime({ offset: true }),
  withdrawn: z.string().nullish(),
  aliases: z.array(Text).nullish(),
  summary: z.string().nullish(),
  severity: Severity,
  affected: z.array(Affected).nullish(),
  database_specific: z
    .object({ severity: z.string().optional().catch(undefined) })
    .nullish()
    .catch(undefined),
});
export type Advisory = z.infer<typeof Advisory>;
export type Affected = z.infer<typeof Affected>;

/** What is known of vulnerabilities, as it was when it was looked at. */
export interface AdvisoryDatabase {
  /** SHA-256 over all of its files. */
  readonly digest: string;
  /** Its newest word, of whatever, in milliseconds. */
  readonly newestMs: number;
  readonly records: number;
  /** Those that it has a word of: how many records, and as of when, in milliseconds. */
  readonly ecosystems: ReadonlyMap<string, { readonly records: number; readonly atMs: number }>;
  /** As of when it speaks of an ecosystem (`npm`, `Debian:12`), in milliseconds; null where it has no word of it. */
  asOf(ecosystem: string): number | null;
  /** All that name one of these packages; whether their versions are affected is another question. @throws CheckError */
  about(packages: readonly PackageName[]): Promise<readonly Advisory[]>;
}

export interface PackageName {
  readonly ecosystem: string;
  readonly name: string;
}

export interface Advisories {
  /** Where they lie. */
  readonly directory: string;
  /** The database of this server as it is now; null where there is none. @throws CheckError `check.advisories-broken` */
  current(): Promise<AdvisoryDatabase | null>;
}
