-- A commit has one release for each set of artifacts that it was planned into: when pins of base images move, its next edition.
alter table release add column edition integer not null default 1;
drop index release_of_commit;
create unique index release_of_commit on release (repository_id, commit_sha, edition) where not mixed;

-- When its registry was last asked; `pinned_at` is when the digest last changed.
alter table base_pin add column resolved_at timestamptz not null default clock_timestamp();
update base_pin set resolved_at = pinned_at;

-- A head that is planned anew though no ref moved, and who asked for it.
alter table ref_event drop constraint ref_event_kind_check;
alter table ref_event add constraint ref_event_kind_check check (kind in ('created', 'moved', 'forced', 'deleted', 'refreshed'));
alter table ref_event add column by_user text,
  add constraint ref_event_refresh_has_author check ((kind = 'refreshed') = (by_user is not null));
