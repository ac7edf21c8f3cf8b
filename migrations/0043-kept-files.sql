-- What runs of checks left for people to see, such as reports and screenshots. The same bytes are kept once. They are here and not on a
-- disk, for whoever asks for them may ask another server than the one that ran the check.
create table kept_content (
  digest text primary key,
  bytes bytea not null,
  -- when a run gave it last: content that no evidence has goes some days after that
  at timestamptz not null default clock_timestamp()
);
alter table kept_content alter column bytes set storage external; -- so that a part of it is read without the whole

-- Whose it is. How the files are called stands in the evidence.
create table kept_file (
  evidence_id text not null references evidence (id),
  digest text not null references kept_content (digest),
  primary key (evidence_id, digest)
);
create index kept_file_by_digest on kept_file (digest);
