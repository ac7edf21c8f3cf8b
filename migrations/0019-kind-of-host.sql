-- What kind of server a repository is on, where its URL does not say it: a name of the family of git hosts.
alter table repository add column host text;
