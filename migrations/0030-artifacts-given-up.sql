-- Since when nothing was seen to need a built artifact, and when an artifact was last given up, so that its content may go:
-- it is `failed` with the code `artifact.given-up` until somebody asks for its key again; its digest stays to be read.
alter table artifact add column unneeded_since timestamptz, add column given_up_at timestamptz,
  add constraint artifact_unneeded_is_built check (unneeded_since is null or state = 'built');
create index artifact_built on artifact (key) where state = 'built';
create index artifact_given_up on artifact (repository) where given_up_at is not null;
-- What was mixed lately and what is being built is found without a look at all releases.
create index release_mixed on release (created_at) where mixed;
create index release_in_the_making on release (id) where state = 'building';
