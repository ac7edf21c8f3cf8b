-- What another CI builds: how long its report is waited for, and until when that is now.
alter table artifact add column report_within_ms bigint, add column report_until timestamptz,
  add constraint artifact_report_has_both check ((report_within_ms is null) = (report_until is null));
create index artifact_unreported on artifact (report_until) where state = 'building' and report_until is not null;

-- What another CI says that it built. Of a service at a commit one stands; what was refused stays to be read.
create table artifact_report (
  id text primary key,
  project_id text not null references project (id),
  service text not null,
  commit_sha text not null,
  digest text not null,
  -- where it rests, as it was said or as towpath.yaml says it
  image text,
  provenance text,
  reported_by text not null,
  -- `waiting` for the commit to be seen, `checking` it and bringing it here
  state text not null check (state in ('waiting', 'checking', 'accepted', 'refused')),
  commit_until timestamptz not null,
  artifact_key text references artifact (key),
  -- what the provenance was found to say
  origin jsonb,
  problem jsonb,
  runs integer not null default 0,
  reported_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  constraint artifact_report_refused_says_why check ((state = 'refused') = (problem is not null)),
  constraint artifact_report_accepted_has_artifact check (state <> 'accepted' or artifact_key is not null),
  constraint artifact_report_ends check ((state in ('accepted', 'refused')) = (ended_at is not null))
);
create unique index artifact_report_stands on artifact_report (project_id, service, commit_sha) where state <> 'refused';
create index artifact_report_open on artifact_report (reported_at) where ended_at is null;
create index artifact_report_by_key on artifact_report (artifact_key, ended_at) where state = 'accepted';
create index artifact_report_by_project on artifact_report (project_id, reported_at desc);
