/** What a consumer expects of a provider. Several that expect the same are one. */
export interface PactView {
  /** Of what is expected, in hex; `logs` and evidence call it by its first seven digits. */
  readonly digest: string;
  readonly consumer: string;
  readonly provider: string;
  readonly interactions: number;
  /** When it was first written down. */
  readonly since: string;
}

/** What one service of an environment expects of another, and whether that keeps to it; by one check of the provider. */
export interface PactPairView {
  readonly environment: string;
  readonly consumer: string;
  readonly provider: string;
  /** The digest of the pact. */
  readonly pact: string;
  /** Null where the provider does not run there, or has no check that verifies pacts. */
  readonly check: string | null;
  /** `unanswered`: it was not asked of these artifacts yet. */
  readonly verdict: 'passed' | 'failed' | 'error' | 'unanswered' | 'no-check' | 'no-provider';
  readonly summary: string | null;
  readonly evidence: string | null;
  readonly at: string | null;
}
