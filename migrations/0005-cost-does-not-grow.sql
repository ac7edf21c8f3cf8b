-- What is asked at every look, on every page and every few seconds, reads what is open or newest, and never the whole past.
create index promotion_ended on promotion (environment_id, ended_at desc) where ended_at is not null;
create index ref_event_open on ref_event (seen_at) where handled_at is null;
create index artifact_in_the_making on artifact (key) where state = 'building';
drop index release_by_fingerprint;
create index release_by_fingerprint on release (fingerprint);
