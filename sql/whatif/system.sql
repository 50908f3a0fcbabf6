-- A row is a server, by its identifier and its timeline: a promoted copy has one of its own.
select s.system_identifier::text as system, c.timeline_id as timeline
from pg_control_system() s, pg_control_checkpoint() c
