-- The projects that a token is limited to; null for all.
alter table access_token add column projects text[] check (cardinality(projects) > 0);
