-- A project has a home repository, which holds the path, and members, which hold services; null for the home.
alter table repository add column name text;

-- Whose releases run there: each repository has places of its own.
alter table environment add column repository_id text references repository (id);
update environment set repository_id = (
  select id from repository where repository.project_id = environment.project_id order by id limit 1);
