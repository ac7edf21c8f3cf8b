-- False for what stands committed in a manifest repository, from which another program deploys it: nobody of us saw it run.
alter table deployment add column observed boolean not null default true;
