-- A row is the identifier of the data; needs EXECUTE on pg_control_system, as pg_monitor has.
select system_identifier::text as system_identifier from pg_control_system()
