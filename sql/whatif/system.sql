-- A row is a server, by its system identifier and its timeline: a promoted copy has its own timeline.
select s.system_identifier::text as system, c.timeline_id as timeline
from pg_control_system() s, pg_control_checkpoint() c
