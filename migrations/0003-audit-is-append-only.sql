-- Who did what stays as it was written, whatever a program believes.
create function audit_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'The audit is append-only.' using errcode = 'integrity_constraint_violation';
end $$;

create trigger audit_is_append_only before update or delete or truncate on audit
  for each statement execute function audit_is_append_only();
