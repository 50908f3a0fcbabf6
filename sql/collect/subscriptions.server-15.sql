-- A row is a subscription of this database with its error counters.
select
    s.subname::text as name,
    s.subenabled as is_enabled,
    t.apply_error_count as apply_errors,
    coalesce((to_jsonb(t) ->> 'sync_error_count'), (to_jsonb(t) ->> 'sync_table_error_count'))::int8 as sync_errors
from pg_subscription s
left join pg_stat_subscription_stats t on t.subid = s.oid
where s.subdbid = (select oid from pg_database where datname = current_database())
