-- Images that an environment runs, or must be able to run again, and that the registry does not have any more.
create table missing_image (
  environment_id text not null references environment (id),
  repository text not null,
  digest text not null,
  release_number integer not null,
  since timestamptz not null default clock_timestamp(),
  primary key (environment_id, repository, digest)
);
