-- How a repository that is not public is reached: a reference to the secret, never the secret. `webhook_secret` is one as well.
alter table repository add column credential text;
