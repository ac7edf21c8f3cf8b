-- What a request did, written with it: the same request again finds what was made, also when its answer was never sent.
create table operation (
  id text primary key,
  made jsonb,
  at timestamptz not null default clock_timestamp()
);
create index operation_at on operation (at);
