-- A row is a wait of a statement, with how often it was seen since somebody reset the profile; 0 is no statement.
select
    coalesce(p.queryid, 0) as query_id,
    coalesce(p.event_type, '') as event_type,
    coalesce(p.event, '') as event,
    sum(p.count)::int8 as samples
from @schema@.pg_wait_sampling_profile p
where p.event_type is distinct from 'Activity'
group by 1, 2, 3
