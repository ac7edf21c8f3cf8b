-- How many builds stand before that of an artifact, one upon the other. Whoever locks several takes the base before what is built upon it.
alter table artifact add column depth integer not null default 0;
