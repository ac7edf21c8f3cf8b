-- Of a failure of the artifacts: the hash of what they ran under. Null when their surroundings failed: that bars nothing.
alter table promotion add column failed_under text;
