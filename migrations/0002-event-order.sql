-- Who follows events asks for "after the last id I saw". An id taken at the insert would let a slow transaction commit a lower
-- id after a higher one was read, and the follower would never see it. So the id is given at the commit, one commit at a time:
-- whatever is visible is below whatever comes. At that moment a transaction waits for nothing else, so it cannot deadlock.
create function event_is_numbered() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(7080720);
  update towpath.event set id = default where id = new.id;
  perform pg_notify('towpath_event', '');
  return null;
end $$;

create constraint trigger event_is_numbered after insert on event
  deferrable initially deferred for each row execute function event_is_numbered();
