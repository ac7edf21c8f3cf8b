-- A voice stays as it was given, with the hash of what the release would run under (as promotion.failed_under): said again, the
-- newest counts, and for that alone. Null of those that were given before this was written down: they count for nothing.
alter table approval drop constraint approval_promotion_id_by_user_key;
alter table approval add column circumstances text;
create index approval_by_promotion on approval (promotion_id, by_user, at desc);
