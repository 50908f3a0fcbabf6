-- A row is the cluster's identity; needs EXECUTE on pg_control_system, as pg_monitor has. What this role may not run is an error in the log.
select
    (select system_identifier::text from pg_control_system()) as system_identifier,
    -- after a promotion, the last checkpoint is on the old timeline for some minutes
    greatest(
        (select timeline_id from pg_control_checkpoint()),
        (select min_recovery_end_timeline from pg_control_recovery())
    )::int as timeline,
    has_function_privilege('pg_catalog.pg_stat_file(text, boolean)', 'EXECUTE') as may_read_files
