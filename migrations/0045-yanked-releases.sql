-- What is yanked is found without a look at all releases.
create index release_yanked on release (project_id, fingerprint, yanked_at) where yanked_at is not null;
