-- Which drivers were asked to run something here since it was last empty: each of them is asked to end what it has.
alter table environment add column drivers text[] not null default '{}';
update environment set drivers = array[definition -> 'deploy' ->> 'driver']
  where removed_at is null and definition -> 'deploy' ->> 'driver' is not null;

-- How many removals of it have come to their end: the next one is another, and has an id of its own.
alter table environment add column removals integer not null default 0;

-- The towpath.yaml of the default branch does not name it any more. It stays while something runs there.
alter table environment add column unnamed_at timestamptz;

-- Somebody wants it to be empty; null again when it is.
alter table environment add column stop_asked_at timestamptz;
