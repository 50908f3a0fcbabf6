-- A row is a wait of a statement, with how often it was seen since somebody reset the profile.
select
    p.queryid as query_id,
    coalesce(p.event_type, '') as event_type,
    coalesce(p.event, '') as event,
    sum(p.count)::int8 as samples
from @schema@.pg_wait_sampling_profile p
where p.queryid <> 0
group by 1, 2, 3
