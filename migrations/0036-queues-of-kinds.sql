-- Kinds of work became partitions of three queues: what waited or ran when the server was updated goes on in its new place.
do $$
begin
  if to_regclass('dbos.workflow_status') is null then return; end if;
  update dbos.workflow_status set queue_partition_key = queue_name, queue_name = case
      when queue_name in ('build', 'check') then 'heavy'
      when queue_name = 'path' then 'patient'
      else 'light' end
    where status in ('ENQUEUED', 'DELAYED', 'PENDING')
      and queue_name in ('ingest', 'build', 'report', 'check', 'path', 'rollback', 'remove');
  if to_regclass('dbos.queues') is not null then
    delete from dbos.queues where name in ('default', 'ingest', 'build', 'report', 'check', 'path', 'rollback', 'remove');
  end if;
end $$;
