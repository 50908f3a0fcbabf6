-- A row is a server, by its system identifier and its timeline: a promoted copy has its own timeline.
-- After its promotion, the last checkpoint is on the old one for some minutes.
select s.system_identifier::text as system, greatest(c.timeline_id, r.min_recovery_end_timeline) as timeline
from pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() r
