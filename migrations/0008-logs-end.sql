-- Logs that are old go, batch by batch: the oldest chunks are found by their time, and whoever refers to a log by its name.
create index log_chunk_by_age on log_chunk (at, log_id);
create index artifact_by_log on artifact (log_id);
create index promotion_by_log on promotion (log_id);
create index evidence_by_log on evidence (log_id) where log_id is not null;
