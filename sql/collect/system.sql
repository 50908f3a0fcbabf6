-- A row is the cluster's identity; needs EXECUTE on pg_control_system, as pg_monitor has. What this role may not run is an error in the log.
select
    (select system_identifier::text from pg_control_system()) as system_identifier,
    (select timeline_id from pg_control_checkpoint())::int as timeline,
    has_function_privilege('pg_catalog.pg_stat_file(text, boolean)', 'EXECUTE') as may_read_files
