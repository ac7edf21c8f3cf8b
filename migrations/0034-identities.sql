-- Who a CI's job is, as the issuer of its identity token said it: of the token that it got for it, and of what it reported.
alter table access_token add column identity jsonb;
alter table artifact_report add column identity jsonb;
