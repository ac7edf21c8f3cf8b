// Written from a migrated database by `npx vitest run src/store/tables.test.ts -u`; do not edit by hand.
import type { ColumnType, GeneratedAlways } from 'kysely';

/** A column that Postgres fills when an insert does not say it. */
type Generated<T> =
  T extends ColumnType<infer S, infer I, infer U> ? ColumnType<S, I | undefined, U> : ColumnType<T, T | undefined, T>;

/** Read as a `Date`. */
type Timestamp = ColumnType<Date, Date | string, Date | string>;

/** Read as a safe number; a `bigint` may be written. */
type BigInteger = ColumnType<number, number | bigint, number | bigint>;

/** Read as a parsed value of unknown shape (parse it at the border); written as text, by `json(...)`. */
type Json = ColumnType<unknown, string, string>;

export interface Tables {
  access_token: AccessTokenTable;
  approval: ApprovalTable;
  artifact: ArtifactTable;
  artifact_report: ArtifactReportTable;
  attestation: AttestationTable;
  attested_image: AttestedImageTable;
  audit: AuditTable;
  base_pin: BasePinTable;
  cluster_target: ClusterTargetTable;
  commit: CommitTable;
  delivery: DeliveryTable;
  deployment: DeploymentTable;
  endpoint: EndpointTable;
  environment: EnvironmentTable;
  event: EventTable;
  evidence: EvidenceTable;
  executor_lease: ExecutorLeaseTable;
  kept_answer: KeptAnswerTable;
  kept_content: KeptContentTable;
  kept_file: KeptFileTable;
  lane: LaneTable;
  log_chunk: LogChunkTable;
  manifest_branch: ManifestBranchTable;
  manifest_target: ManifestTargetTable;
  manifest_write: ManifestWriteTable;
  message: MessageTable;
  message_cursor: MessageCursorTable;
  migration: MigrationTable;
  migration_run: MigrationRunTable;
  missing_image: MissingImageTable;
  notice: NoticeTable;
  notice_cursor: NoticeCursorTable;
  notify_channel: NotifyChannelTable;
  operation: OperationTable;
  pact: PactTable;
  project: ProjectTable;
  promotion: PromotionTable;
  promotion_event: PromotionEventTable;
  ref: RefTable;
  ref_event: RefEventTable;
  release: ReleaseTable;
  release_name: ReleaseNameTable;
  release_question: ReleaseQuestionTable;
  release_service: ReleaseServiceTable;
  repository: RepositoryTable;
  signing_key: SigningKeyTable;
  tenure: TenureTable;
  unneeded_image: UnneededImageTable;
  webhook_delivery: WebhookDeliveryTable;
}

export interface AccessTokenTable {
  id: string;
  kind: 'token' | 'session' | 'code';
  hash: string;
  name: string;
  user_name: string;
  roles: string[];
  created_at: Generated<Timestamp>;
  expires_at: Timestamp | null;
  revoked_at: Timestamp | null;
  token_id: string | null;
  projects: string[] | null;
  identity: Json | null;
}

export interface ApprovalTable {
  id: string;
  promotion_id: string;
  by_user: string;
  verdict: 'approved' | 'rejected';
  comment: string | null;
  at: Generated<Timestamp>;
  expires_at: Timestamp | null;
  circumstances: string | null;
}

export interface ArtifactTable {
  key: string;
  project_id: string;
  service: string;
  builder: string;
  inputs: Json;
  state: 'building' | 'built' | 'failed';
  repository: string;
  digest: string | null;
  media_type: string | null;
  size_bytes: BigInteger | null;
  provenance: Json | null;
  problem: Json | null;
  attempt: Generated<number>;
  log_id: string;
  built_for_commit: string;
  requested_at: Generated<Timestamp>;
  finished_at: Timestamp | null;
  yanked_at: Timestamp | null;
  depth: Generated<number>;
  kind: Generated<string | null>;
  report_within_ms: BigInteger | null;
  report_until: Timestamp | null;
  unneeded_since: Timestamp | null;
  given_up_at: Timestamp | null;
}

export interface ArtifactReportTable {
  id: string;
  project_id: string;
  service: string;
  commit_sha: string;
  digest: string;
  image: string | null;
  provenance: string | null;
  reported_by: string;
  state: 'waiting' | 'checking' | 'accepted' | 'refused';
  commit_until: Timestamp;
  artifact_key: string | null;
  origin: Json | null;
  problem: Json | null;
  runs: Generated<number>;
  reported_at: Generated<Timestamp>;
  ended_at: Timestamp | null;
  identity: Json | null;
}

export interface AttestationTable {
  id: string;
  number: GeneratedAlways<number>;
  project_id: string;
  fact: string;
  repository: string;
  digest: string;
  predicate_type: string;
  predicate: Json;
  wanted_at: Generated<Timestamp>;
  sequence: number | null;
  statement: string | null;
  key_hint: string | null;
  bundle: string | null;
  signed_at: Timestamp | null;
  manifest: string | null;
  delivered_at: Timestamp | null;
}

export interface AttestedImageTable {
  repository: string;
  digest: string;
  due_at: Generated<Timestamp>;
  tries: Generated<number>;
  problem: Json | null;
}

export interface AuditTable {
  id: string;
  at: Generated<Timestamp>;
  actor: string;
  action: string;
  subject: string;
  detail: Generated<Json>;
}

export interface BasePinTable {
  project_id: string;
  reference: string;
  digest: string;
  pinned_by: string;
  pinned_at: Generated<Timestamp>;
  resolved_at: Generated<Timestamp>;
}

export interface ClusterTargetTable {
  target: string;
  place: Json;
}

export interface CommitTable {
  repository_id: string;
  sha: string;
  first_parent: string | null;
  author_name: string;
  author_email: string;
  committed_at: Timestamp;
  subject: string;
  position: number | null;
}

export interface DeliveryTable {
  message_id: string;
  project_id: string;
  channel: string;
  receiver: Generated<string>;
  due_at: Timestamp | null;
  tries: Generated<number>;
  tried_at: Timestamp | null;
  told_at: Timestamp | null;
  given_up_at: Timestamp | null;
  problem: Json | null;
}

export interface DeploymentTable {
  environment_id: string;
  service: string;
  release_id: string;
  promotion_id: string;
  digest: string;
  url: string | null;
  since: Generated<Timestamp>;
  observed: Generated<boolean>;
}

export interface EndpointTable {
  environment_id: string;
  service: string;
  port: number;
}

export interface EnvironmentTable {
  id: string;
  project_id: string;
  name: string;
  slug: string;
  position: number;
  preview_branch: string | null;
  definition: Json;
  created_at: Generated<Timestamp>;
  expires_at: Timestamp | null;
  removed_at: Timestamp | null;
  current_release_id: string | null;
  current_promotion_id: string | null;
  current_since: Timestamp | null;
  hold: Json | null;
  drivers: Generated<string[]>;
  removals: Generated<number>;
  unnamed_at: Timestamp | null;
  stop_asked_at: Timestamp | null;
  preview_ref: string | null;
  repository_id: string | null;
  end_problem: Json | null;
}

export interface EventTable {
  id: GeneratedAlways<number>;
  at: Generated<Timestamp>;
  project_id: string | null;
  kind: string;
  subject: string;
  data: Generated<Json>;
}

export interface EvidenceTable {
  id: string;
  project_id: string;
  question: string;
  check_name: string;
  service: string | null;
  release_id: string | null;
  environment_id: string | null;
  digests: Json;
  verdict: 'passed' | 'failed' | 'error';
  result: Json;
  log_id: string | null;
  at: Generated<Timestamp>;
  check_type: string | null;
}

export interface ExecutorLeaseTable {
  id: string;
  until: Timestamp;
}

export interface KeptAnswerTable {
  key: string;
  question: string;
  status: number | null;
  body: string | null;
  until: Timestamp;
}

export interface KeptContentTable {
  digest: string;
  bytes: Buffer;
  at: Generated<Timestamp>;
}

export interface KeptFileTable {
  evidence_id: string;
  digest: string;
}

export interface LaneTable {
  environment_id: string;
  holder: string | null;
  until: Timestamp | null;
  token: Generated<BigInteger>;
}

export interface LogChunkTable {
  log_id: string;
  seq: GeneratedAlways<number>;
  at: Generated<Timestamp>;
  lines: string[];
}

export interface ManifestBranchTable {
  id: string;
  repository: string;
  branch: string;
  holder: string | null;
  until: Timestamp | null;
  head: string | null;
}

export interface ManifestTargetTable {
  target: string;
  token: BigInteger;
  operation: string;
  place: Json;
}

export interface ManifestWriteTable {
  key: string;
  branch_id: string;
  number: GeneratedAlways<number>;
  target: string;
  token: BigInteger;
  request: Json;
  first_at: Generated<Timestamp>;
  wanted_until: Timestamp;
  state: 'waiting' | 'taken' | 'written' | 'refused';
  taken_by: string | null;
  commit_id: string | null;
  problem: Json | null;
}

export interface MessageTable {
  id: string;
  project_id: string;
  key: string;
  event_id: BigInteger;
  about: string | null;
  turn: 'broke' | 'fixed' | null;
  mends: string | null;
  content: Json;
  at: Timestamp;
}

export interface MessageCursorTable {
  event_id: BigInteger;
}

export interface MigrationTable {
  name: string;
  checksum: string;
  applied_at: Generated<Timestamp>;
}

export interface MigrationRunTable {
  promotion_id: string;
  service: string;
  began_at: Generated<Timestamp>;
  outcome: Json | null;
}

export interface MissingImageTable {
  environment_id: string;
  repository: string;
  digest: string;
  release_number: number;
  since: Generated<Timestamp>;
}

export interface NoticeTable {
  repository_id: string;
  key: string;
  environment_id: string | null;
  event_id: BigInteger;
  wanted: Json;
  wanted_at: Timestamp;
  shown: Generated<Json>;
  due_at: Timestamp | null;
  tries: Generated<number>;
}

export interface NoticeCursorTable {
  event_id: BigInteger;
}

export interface NotifyChannelTable {
  project_id: string;
  name: string;
  next_at: Timestamp | null;
  told_at: Timestamp | null;
  problem: Json | null;
}

export interface OperationTable {
  id: string;
  made: Json | null;
  at: Generated<Timestamp>;
}

export interface PactTable {
  project_id: string;
  digest: string;
  consumer: string;
  provider: string;
  interactions: number;
  body: string;
  at: Generated<Timestamp>;
}

export interface ProjectTable {
  id: string;
  name: string;
  created_at: Generated<Timestamp>;
  ending_at: Timestamp | null;
  removed_at: Timestamp | null;
}

export interface PromotionTable {
  id: string;
  project_id: string;
  environment_id: string;
  release_id: string;
  number: GeneratedAlways<number>;
  kind: 'promotion' | 'rollback' | 'removal';
  automatic: boolean;
  requested_by: string;
  cause: string;
  state:
    | 'requested'
    | 'evaluating'
    | 'waiting'
    | 'tagging'
    | 'deploying'
    | 'verifying'
    | 'live'
    | 'refused'
    | 'failed'
    | 'superseded'
    | 'cancelled'
    | 'rolled-back';
  detail: Generated<Json>;
  token: Generated<BigInteger>;
  runs: Generated<number>;
  wake_at: Timestamp | null;
  previous_release_id: string | null;
  log_id: string;
  created_at: Generated<Timestamp>;
  changed_at: Generated<Timestamp>;
  ended_at: Timestamp | null;
  refs: Generated<string[]>;
  failed_under: string | null;
}

export interface PromotionEventTable {
  id: string;
  promotion_id: string;
  from_state: string | null;
  to_state: string;
  token: BigInteger;
  detail: Json;
  at: Generated<Timestamp>;
}

export interface RefTable {
  repository_id: string;
  name: string;
  oid: string;
  commit_sha: string;
  seen_at: Generated<Timestamp>;
  deleted_at: Timestamp | null;
}

export interface RefEventTable {
  id: string;
  repository_id: string;
  ref: string;
  kind: 'created' | 'moved' | 'forced' | 'deleted' | 'refreshed';
  before_sha: string | null;
  after_sha: string | null;
  seen_at: Generated<Timestamp>;
  handled_at: Timestamp | null;
  by_user: string | null;
}

export interface ReleaseTable {
  id: string;
  project_id: string;
  repository_id: string;
  number: GeneratedAlways<number>;
  commit_sha: string;
  mixed: Generated<boolean>;
  fingerprint: string;
  state: 'building' | 'ready' | 'failed';
  problem: Json | null;
  created_by: string;
  created_at: Generated<Timestamp>;
  ready_at: Timestamp | null;
  yanked_at: Timestamp | null;
  yanked_by: string | null;
  yank_reason: string | null;
  edition: Generated<number>;
}

export interface ReleaseNameTable {
  release_id: string;
  ref: string;
  named_at: Generated<Timestamp>;
}

export interface ReleaseQuestionTable {
  release_id: string;
  check_name: string;
  service: string;
  question: string;
}

export interface ReleaseServiceTable {
  release_id: string;
  service: string;
  artifact_key: string;
  commit_sha: string;
}

export interface RepositoryTable {
  id: string;
  project_id: string;
  url: string;
  default_branch: string;
  webhook_secret: string | null;
  config: Json | null;
  config_commit: string | null;
  config_error: Json | null;
  refs_hash: string | null;
  next_poll_at: Generated<Timestamp>;
  polled_at: Timestamp | null;
  poll_failures: Generated<number>;
  poll_error: Json | null;
  woken_at: Timestamp | null;
  lease_until: Timestamp | null;
  credential: string | null;
  left_at: Timestamp | null;
  host: string | null;
  wants_pulls: Generated<boolean>;
  lists_pulls: Generated<boolean>;
  notices: string | null;
  notices_at: Timestamp | null;
  notices_error: Json | null;
  name: string | null;
}

export interface SigningKeyTable {
  hint: string;
  holder: string;
  public_key: string;
  held: string | null;
  state: Generated<'active' | 'retired' | 'revoked'>;
  since: Generated<Timestamp>;
  retired_at: Timestamp | null;
  revoked_at: Timestamp | null;
  revoked_by: string | null;
  revoke_reason: string | null;
}

export interface TenureTable {
  promotion_id: string;
  environment_id: string;
  release_id: string;
  began_at: Generated<Timestamp>;
  ended_at: Timestamp | null;
}

export interface UnneededImageTable {
  repository: string;
  digest: string;
  since: Timestamp;
}

export interface WebhookDeliveryTable {
  host: string;
  delivery: string;
  repository_id: string | null;
  received_at: Generated<Timestamp>;
}
