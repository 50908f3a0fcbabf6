-- A row is a subscription of this database; error counters are available from 15 on.
select
    s.subname::text as name,
    true as is_enabled,
    null::int8 as apply_errors,
    null::int8 as sync_errors
from pg_stat_subscription s
where s.subid in (select oid from pg_subscription where subdbid = (select oid from pg_database where datname = current_database()))
group by s.subname
