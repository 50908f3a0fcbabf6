-- A row is the cluster's identity; needs pg_monitor's right to pg_control_system or PUBLIC's.
select
    (select system_identifier::text from pg_control_system()) as system_identifier,
    (select timeline_id from pg_control_checkpoint())::int as timeline
