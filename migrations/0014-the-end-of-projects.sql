-- A project ends when somebody removed it and all its environments are gone; its name is free again then. Its rows stay.
alter table project add column ending_at timestamptz, add column removed_at timestamptz;
alter table project drop constraint project_name_key;
create unique index project_name on project (name) where removed_at is null;

-- Nobody polls it any more.
alter table repository add column left_at timestamptz;
