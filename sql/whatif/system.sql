-- A row is a server, by its system identifier and its timeline: a promoted copy has its own timeline.
select
    (select system_identifier::text from pg_control_system()) as system,
    -- after its promotion, the last checkpoint is on the old one for some minutes
    greatest(
        (select timeline_id from pg_control_checkpoint()),
        (select min_recovery_end_timeline from pg_control_recovery())
    ) as timeline
