-- A row is what clients other than us are doing: counters, and the sessions of this moment.
select
    sum(d.xact_commit + d.xact_rollback)::int8 as transactions,
    sum((to_jsonb(d) ->> 'sessions')::int8)::int8 as connected,
    count(*)::int4 as databases,
    (
        select count(*)
        from pg_stat_activity a
        where a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
            and a.application_name <> 'pgwatch_wed' and not starts_with(a.application_name, 'pgwatch_wed ')
            and (a.state <> 'idle' or a.state_change > clock_timestamp() - interval '10 seconds')
    )::int4 as active,
    (
        select count(*)
        from pg_stat_activity a
        where a.backend_type is null and a.datname is not null
    )::int4 as hidden
from pg_stat_database d
