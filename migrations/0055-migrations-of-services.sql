-- A migration of a service that a promotion runs before anything is switched: at most once. Without an end it is under way, or was when its
-- server ended.
create table migration_run (
  promotion_id text not null references promotion (id) on delete cascade,
  service text not null,
  began_at timestamptz not null default clock_timestamp(),
  outcome jsonb,
  primary key (promotion_id, service)
);
