-- The token behind a session or a code, which ends with it. Those that were opened before are ended: nobody knows by which token.
alter table access_token add column token_id text references access_token (id);
delete from access_token where kind <> 'token';
