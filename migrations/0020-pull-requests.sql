-- Pull requests are listed only where the path asks for them; those that were there before it asked are left as they are.
alter table repository add column wants_pulls boolean not null default false, add column lists_pulls boolean not null default false;
-- What a preview ends with. Before there were others it was always a branch.
alter table environment add column preview_ref text;
update environment set preview_ref = 'refs/heads/' || preview_branch where preview_branch is not null;
