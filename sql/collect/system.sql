-- A row is the cluster's identity; needs EXECUTE on pg_control_system, as pg_monitor has.
select
    (select system_identifier::text from pg_control_system()) as system_identifier,
    (select timeline_id from pg_control_checkpoint())::int as timeline
