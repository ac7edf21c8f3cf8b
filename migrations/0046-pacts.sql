-- What consumers expect of providers, by the identity of what is expected: kept once, however often it is written down again. Which
-- artifacts expect it, and which keep to it, is said by evidence.
create table pact (
  project_id text not null references project (id),
  digest text not null,
  consumer text not null,
  provider text not null,
  interactions integer not null,
  body text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (project_id, digest)
);
