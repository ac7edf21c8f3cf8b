-- What git hosts are told. With `notices` (a reference to a token) a repository's host is told; it is asked nothing before
-- `notices_at`, which is also the lease of whoever tells it, and `notices_error` says what stands in the way.
alter table repository add column notices text, add column notices_at timestamptz, add column notices_error jsonb;
create index repository_to_tell on repository (notices_at) where notices is not null;

-- One row per thing that a host shows: what it should show, and what it is known to show. While `due_at` is set, it is to be told.
create table notice (
  repository_id text not null references repository (id),
  key text not null,
  environment_id text references environment (id),
  -- the event by which it was wanted: what came first is told first
  event_id bigint not null,
  wanted jsonb not null,
  wanted_at timestamptz not null,
  shown jsonb not null default '{}',
  due_at timestamptz,
  tries integer not null default 0,
  primary key (repository_id, key)
);
create index notice_due on notice (repository_id, event_id) where due_at is not null;
create index notice_standing on notice (environment_id) where wanted ->> 'state' = 'success';
create index notice_by_age on notice (wanted_at);

-- Up to which event was looked at what has to be told; it begins now, for nobody wants to be told the past.
create table notice_cursor (event_id bigint not null);
insert into notice_cursor select coalesce(max(id), 0) from event;
