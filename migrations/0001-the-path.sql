-- The nouns of the path. Rows are the truth; workflows only move them. Ids are text, instants are timestamptz.

create table project (
  id text primary key,
  name text not null unique,
  created_at timestamptz not null default clock_timestamp()
);

-- One repository is polled once, whoever uses it. `config` is the parsed towpath.yaml of the default branch's head.
create table repository (
  id text primary key,
  project_id text not null references project (id),
  url text not null,
  default_branch text not null,
  webhook_secret text,
  config jsonb,
  config_commit text,
  config_error jsonb,
  refs_hash text,
  next_poll_at timestamptz not null default clock_timestamp(),
  polled_at timestamptz,
  poll_failures integer not null default 0,
  poll_error jsonb,
  -- a webhook or a person asked to look; stays until a poll that began later has seen why
  woken_at timestamptz,
  lease_until timestamptz,
  unique (project_id, url)
);
create index repository_due on repository (next_poll_at);

-- What the last poll saw. A deleted ref keeps its row, with `deleted_at`.
create table ref (
  repository_id text not null references repository (id),
  name text not null,
  oid text not null,
  commit_sha text not null,
  seen_at timestamptz not null default clock_timestamp(),
  deleted_at timestamptz,
  primary key (repository_id, name)
);

create table ref_event (
  id text primary key,
  repository_id text not null references repository (id),
  ref text not null,
  kind text not null check (kind in ('created', 'moved', 'forced', 'deleted')),
  before_sha text,
  after_sha text,
  seen_at timestamptz not null default clock_timestamp(),
  handled_at timestamptz
);
create index ref_event_by_repository on ref_event (repository_id, seen_at desc);

create table webhook_delivery (
  host text not null,
  delivery text not null,
  repository_id text references repository (id),
  received_at timestamptz not null default clock_timestamp(),
  primary key (host, delivery)
);

create table commit (
  repository_id text not null references repository (id),
  sha text not null,
  first_parent text,
  author_name text not null,
  author_email text not null,
  committed_at timestamptz not null,
  subject text not null,
  -- how many first-parent steps from the root: the order on the default branch where ancestry is broken
  position integer,
  primary key (repository_id, sha)
);

-- Outside base images, resolved once; they move only by a visible refresh.
create table base_pin (
  project_id text not null references project (id),
  reference text not null,
  digest text not null,
  pinned_by text not null,
  pinned_at timestamptz not null default clock_timestamp(),
  primary key (project_id, reference)
);

-- Built once: one row per artifact key. `inputs` is what the key was made from, for `why` and the unchanged gate.
create table artifact (
  key text primary key,
  project_id text not null references project (id),
  service text not null,
  builder text not null,
  inputs jsonb not null,
  state text not null check (state in ('building', 'built', 'failed')),
  repository text not null,
  digest text,
  media_type text,
  size_bytes bigint,
  provenance jsonb,
  problem jsonb,
  attempt integer not null default 1,
  log_id text not null,
  built_for_commit text not null,
  requested_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  yanked_at timestamptz,
  constraint artifact_built_has_digest check (state <> 'built' or digest is not null)
);
create index artifact_by_digest on artifact (digest);
create index artifact_by_service on artifact (project_id, service, requested_at desc);

-- A commit and, for each service, its artifact. Immutable but for its readiness and a yank.
create table release (
  id text primary key,
  project_id text not null references project (id),
  repository_id text not null references repository (id),
  number bigint generated always as identity,
  commit_sha text not null,
  mixed boolean not null default false,
  -- SHA-256 over service -> artifact key: two releases with one fingerprint are the same thing to run
  fingerprint text not null,
  state text not null check (state in ('building', 'ready', 'failed')),
  problem jsonb,
  created_by text not null,
  created_at timestamptz not null default clock_timestamp(),
  ready_at timestamptz,
  yanked_at timestamptz,
  yanked_by text,
  yank_reason text,
  constraint release_yank_has_reason check ((yanked_at is null) = (yank_reason is null))
);
create unique index release_of_commit on release (repository_id, commit_sha) where not mixed;
create index release_by_project on release (project_id, number desc);
create index release_by_fingerprint on release (project_id, fingerprint);

create table release_service (
  release_id text not null references release (id),
  service text not null,
  artifact_key text not null references artifact (key),
  commit_sha text not null,
  primary key (release_id, service)
);
create index release_service_by_key on release_service (artifact_key);

-- The names under which people know a release: branches (move) and tags (stay).
create table release_name (
  release_id text not null references release (id),
  ref text not null,
  named_at timestamptz not null default clock_timestamp(),
  primary key (release_id, ref)
);
create index release_name_by_ref on release_name (ref, named_at desc);

-- A node of the path. The definition is read from the head of the default branch; a preview has its branch beside it.
create table environment (
  id text primary key,
  project_id text not null references project (id),
  name text not null,
  slug text not null,
  position integer not null,
  preview_branch text,
  definition jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  removed_at timestamptz,
  current_release_id text references release (id),
  current_promotion_id text,
  current_since timestamptz,
  hold jsonb
);
create unique index environment_name on environment (project_id, name) where removed_at is null;

-- True mutual exclusion per environment: who works in it now, fenced by an ever rising token.
create table lane (
  environment_id text primary key references environment (id),
  holder text,
  until timestamptz,
  token bigint not null default 0
);

create table promotion (
  id text primary key,
  project_id text not null references project (id),
  environment_id text not null references environment (id),
  release_id text not null references release (id),
  number bigint generated always as identity,
  kind text not null check (kind in ('promotion', 'rollback', 'removal')),
  automatic boolean not null,
  requested_by text not null,
  cause text not null,
  state text not null check (state in ('requested', 'evaluating', 'waiting', 'tagging', 'deploying', 'verifying', 'live',
    'refused', 'failed', 'superseded', 'cancelled', 'rolled-back')),
  -- what the state carries: what it waits for and until when, the reasons of a refusal, the step and problem of a failure
  detail jsonb not null default '{}',
  token bigint not null default 0,
  runs integer not null default 0,
  wake_at timestamptz,
  previous_release_id text references release (id),
  log_id text not null,
  created_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
create index promotion_open on promotion (environment_id, number) where ended_at is null;
create index promotion_by_environment on promotion (environment_id, number desc);
create index promotion_by_release on promotion (release_id);
create index promotion_due on promotion (wake_at) where ended_at is null;
alter table environment add constraint environment_current_promotion foreign key (current_promotion_id) references promotion (id);

create table promotion_event (
  id text primary key,
  promotion_id text not null references promotion (id),
  from_state text,
  to_state text not null,
  token bigint not null,
  detail jsonb not null,
  at timestamptz not null default clock_timestamp()
);
create index promotion_event_by_promotion on promotion_event (promotion_id, at);

create table approval (
  id text primary key,
  promotion_id text not null references promotion (id),
  by_user text not null,
  verdict text not null check (verdict in ('approved', 'rejected')),
  comment text,
  at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  unique (promotion_id, by_user)
);

-- What runs where, as last observed.
create table deployment (
  environment_id text not null references environment (id),
  service text not null,
  release_id text not null references release (id),
  promotion_id text not null references promotion (id),
  digest text not null,
  url text,
  since timestamptz not null default clock_timestamp(),
  primary key (environment_id, service)
);

-- From when until when a release was what an environment ran: soak, history and the rollback window are read from here.
create table tenure (
  promotion_id text primary key references promotion (id),
  environment_id text not null references environment (id),
  release_id text not null references release (id),
  began_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
create index tenure_by_environment on tenure (environment_id, began_at desc);
create index tenure_by_release on tenure (release_id);

-- The verdict on a question about digests. Keyed by the question and what it was asked of; the latest row counts.
create table evidence (
  id text primary key,
  project_id text not null references project (id),
  question text not null,
  check_name text not null,
  service text,
  release_id text references release (id),
  environment_id text references environment (id),
  digests jsonb not null,
  verdict text not null check (verdict in ('passed', 'failed', 'error')),
  result jsonb not null,
  log_id text,
  at timestamptz not null default clock_timestamp()
);
create index evidence_by_question on evidence (question, at desc);
create index evidence_by_release on evidence (release_id, check_name, at desc);

-- Stable addresses: one port per environment and service, kept as long as the environment lives.
create table endpoint (
  environment_id text not null references environment (id),
  service text not null,
  port integer not null unique,
  primary key (environment_id, service)
);

create table log_chunk (
  log_id text not null,
  seq bigint generated always as identity,
  at timestamptz not null default clock_timestamp(),
  lines text[] not null,
  primary key (log_id, seq)
);

-- Everything the faces show changing, in order: server-sent events and, later, notifications read from here.
create table event (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  project_id text references project (id),
  kind text not null,
  subject text not null,
  data jsonb not null default '{}'
);

create table audit (
  id text primary key,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  action text not null,
  subject text not null,
  detail jsonb not null default '{}'
);
create index audit_by_subject on audit (subject, at desc);

-- A secret of which only the hash is kept: a token stands in a header, a session in the page's cookie, a code opens one session.
create table access_token (
  id text primary key,
  kind text not null check (kind in ('token', 'session', 'code')),
  hash text not null unique,
  name text not null,
  user_name text not null,
  roles text[] not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz
);

-- Answers to writes that carried an Idempotency-Key: the same key again gets the same answer, and nothing happens twice.
create table kept_answer (
  key text primary key,
  question text not null,
  status integer,
  body text,
  -- while it is being answered: whoever finds this past may ask again, for the server that worked on it is gone
  until timestamptz not null,
  constraint kept_answer_is_whole check ((status is null) = (body is null))
);
create index kept_answer_until on kept_answer (until);

-- One row per living worker process; whoever finds a dead one takes over its workflows.
create table executor_lease (
  id text primary key,
  until timestamptz not null
);
