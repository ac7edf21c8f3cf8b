-- Whether an artifact is a base is asked with every release that is settled or shown, and its inputs are long: it stands beside them.
alter table artifact add column kind text generated always as (inputs ->> 'kind') stored;
