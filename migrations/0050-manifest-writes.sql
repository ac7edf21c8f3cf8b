-- One writer at a time for each branch of each manifest repository: whoever has the lease writes what all wait for, in one push.
create table manifest_branch (
  id text primary key,
  repository text not null,
  branch text not null,
  holder text,
  until timestamptz,
  -- where the writer left the branch, or saw it last: when a later head does not hold it, its history was rewritten
  head text,
  unique (repository, branch)
);

-- What is to be written, one row for each operation on a target. Whoever asks says so again and again (`wanted_until`), so that nothing
-- is written that nobody waits for any more; a row that a writer has taken is the writer's until its lease ends.
create table manifest_write (
  key text primary key,
  branch_id text not null references manifest_branch (id),
  number bigint generated always as identity,
  target text not null,
  token bigint not null,
  request jsonb not null,
  -- of the first asking: the date of the commit, so that a repeated commit is the same commit
  first_at timestamptz not null default clock_timestamp(),
  wanted_until timestamptz not null,
  state text not null check (state in ('waiting', 'taken', 'written', 'refused')),
  taken_by text,
  commit_id text,
  problem jsonb,
  constraint manifest_write_refused_why check ((state = 'refused') = (problem is not null)),
  constraint manifest_write_taken_by check ((state = 'taken') = (taken_by is not null))
);
create index manifest_write_open on manifest_write (branch_id, number) where state in ('waiting', 'taken');

-- Where the images of a target stand, as last asked for, and the highest fencing token that was seen.
create table manifest_target (
  target text primary key,
  token bigint not null,
  operation text not null,
  place jsonb not null
);
