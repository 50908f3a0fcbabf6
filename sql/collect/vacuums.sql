-- A row is a running vacuum.
select
    p.pid,
    p.datname::text as database,
    p.relid::int8 as relation_oid,
    case when p.datname = current_database() then n.nspname || '.' || c.relname end as relation,
    p.phase,
    p.heap_blks_total as heap_pages_total,
    p.heap_blks_scanned as heap_pages_scanned,
    p.index_vacuum_count,
    a.xact_start as started_at,
    coalesce(a.backend_type = 'autovacuum worker', false) as is_autovacuum,
    coalesce(a.backend_type = 'autovacuum worker' and a.query like '%(to prevent wraparound)', false) as is_wraparound
from pg_stat_progress_vacuum p
left join pg_stat_activity a on a.pid = p.pid
left join pg_class c on c.oid = p.relid and p.datname = current_database()
left join pg_namespace n on n.oid = c.relnamespace
