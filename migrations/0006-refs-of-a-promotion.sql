-- The branches and tags that asked for a promotion: when none of them means its commit any more, a wait for it is over.
alter table promotion add column refs text[] not null default '{}';
update promotion set refs = array[case
    when cause like 'tag %' then 'refs/tags/' || substr(cause, 5)
    when cause like 'merge to %' then 'refs/heads/' || substr(cause, 10)
    else 'refs/heads/' || substr(cause, 9) end]
  where ended_at is null and automatic and kind = 'promotion' and cause ~ '^(tag|merge to|push to) ';
create index promotion_open_by_ref on promotion using gin (refs) where ended_at is null;
