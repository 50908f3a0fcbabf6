create or replace view @schema@.index_usage_stats as
with judged as (
    select
        i.*,
        extract(epoch from now() - i.counters_since) / 86400 as days,
        extract(epoch from w.unused_window) / 86400 as window_days,
        i.idx_scan / greatest(extract(epoch from now() - i.counters_since) / 86400, 1) as per_day,
        i.is_unique or i.is_exclusion or i.constraint_name is not null
            or i.is_replica_identity or i.parent_index is not null as is_constraint,
        w.unused_window > interval '0' and i.last_idx_scan < now() - w.unused_window as is_long_ago,
        -- a scan of an index that did not exist yet could not be counted
        w.unused_window > interval '0' and coalesce(
            extract(epoch from now() - i.proven_since) < extract(epoch from w.unused_window), true) as is_young
    from @schema@.get_index_stats() i
    cross join (
        select coalesce(nullif(current_setting('pgwatch_wed.unused_window', true), ''), '30 days')::interval
            as unused_window
    ) w
),
stated as (
    select
        j.*,
        case
            when j.is_constraint then 'CONSTRAINT'
            -- what is used enough for the whole window is used, however young its counters
            when j.idx_scan >= greatest(j.days, j.window_days) and j.is_long_ago is not true then 'USED'
            when j.days >= j.window_days and not j.is_building then
                case
                    when j.idx_scan > 0 then 'RARELY_USED'
                    when not j.table_is_used or j.is_young then 'TOO_EARLY'
                    else 'UNUSED'
                end
            else 'TOO_EARLY'
        end as usage_status
    from judged j
),
named as (
    select
        t.*,
        not t.is_valid or t.is_clustered or t.is_in_extension or t.related_index is not null
            or greatest(t.size_bytes, t.least_bytes) < 100000 as is_left_out,
        case when t.foreign_key_alternative is null then 'scan this one'
            else 'use ' || quote_ident(t.foreign_key_alternative)
                || ', which begins with one of its columns' end as without_it
    from stated t
)
select
    s.schemaname,
    s.relname,
    s.indexrelname,
    s.usage_status,
    s.size_bytes,
    s.idx_scan,
    round(s.per_day::numeric, 2) as scans_per_day,
    s.last_idx_scan,
    s.counters_since,
    s.table_writes,
    s.is_valid,
    s.is_building,
    s.is_partitioned,
    concat_ws('; ',
        case s.usage_status
            when 'CONSTRAINT' then
                case
                    when s.parent_index is not null then 'part of ' || s.parent_index || ' and evaluated with it'
                    when s.is_primary then 'primary key'
                    when s.is_exclusion then 'exclusion constraint'
                    when s.constraint_name is not null then 'unique constraint'
                    when s.is_unique then 'unique index'
                    else 'replica identity'
                end
            when 'USED' then 'at least one scan a day'
            when 'RARELY_USED' then
                case when s.is_long_ago then 'not scanned within the window'
                    else 'less than one scan a day' end
            when 'UNUSED' then 'no scan within the window'
            else
                case when s.is_building then 'being built'
                    when s.days is null then 'unknown when counting began'
                    when s.days >= s.window_days and not s.table_is_used
                        then 'its table has not been used since the counters began'
                    when s.days >= s.window_days
                        then 'it is not certain that it existed for the whole window'
                    else 'counters cover ' || round(s.days::numeric, 1) || ' of '
                        || round(s.window_days::numeric, 1) || ' days' end
        end,
        case when not s.is_valid and not s.is_building then 'invalid' end,
        case when s.usage_status in ('UNUSED', 'RARELY_USED') and s.foreign_key is not null
            then 'supports foreign key ' || quote_ident(s.foreign_key)
                || ': without it, deletes from the referenced table ' || s.without_it end,
        case when s.usage_status in ('UNUSED', 'RARELY_USED') and s.related_index is not null
            then 'compare with ' || quote_ident(s.related_index) end,
        case when s.usage_status in ('UNUSED', 'RARELY_USED') and s.is_clustered
            then 'CLUSTER uses it' end
    ) as reason,
    s.definition,
    case
        when s.usage_status in ('CONSTRAINT', 'USED') or s.is_left_out then 'ok'
        when s.usage_status = 'TOO_EARLY' then 'unknown'
        when s.usage_status = 'RARELY_USED' and s.is_long_ago is not true then 'ok'
        when s.foreign_key is not null and s.foreign_key_alternative is null then 'ok'
        when s.size_bytes >= 10000000 and not exists (select from pg_stat_replication) then 'warning'
        else 'info'
    end as status
from named s;

comment on view @schema@.index_usage_stats is
$comment$One row per index: whether queries use it, on this server (a standby has its own counters).

The window is 30 days; SET pgwatch_wed.unused_window = '14 days' changes it for a session, ALTER DATABASE ... SET for all sessions.

Installed by pgwatch_wed: index_usage_stats v2.$comment$;
comment on column @schema@.index_usage_stats.schemaname is 'schema of the table and the index';
comment on column @schema@.index_usage_stats.relname is 'the table';
comment on column @schema@.index_usage_stats.indexrelname is 'the index';
comment on column @schema@.index_usage_stats.usage_status is
'UNUSED: no scan since counters_since, at least a window ago. RARELY_USED: less than one scan a day, or none within the window. USED: at least one scan a day. CONSTRAINT: enforces something or is part of a partitioned index; never a candidate, whatever its scans. TOO_EARLY: the counters, or the index for all that is certain, are younger than the window.';
comment on column @schema@.index_usage_stats.size_bytes is
'bytes as of the last VACUUM, ANALYZE or build; for a partitioned index, the sum over its partitions';
comment on column @schema@.index_usage_stats.idx_scan is
'scans since counters_since; for a partitioned index, the sum over its partitions';
comment on column @schema@.index_usage_stats.scans_per_day is 'idx_scan per day; of less than a day, as if it were a day';
comment on column @schema@.index_usage_stats.last_idx_scan is 'time of the last scan (16 and later)';
comment on column @schema@.index_usage_stats.counters_since is 'since when scans of this index have been counted';
comment on column @schema@.index_usage_stats.table_writes is
'inserts and non-HOT updates: approximately the entries added to the index';
comment on column @schema@.index_usage_stats.is_valid is
'false: left behind by a failed CREATE INDEX CONCURRENTLY, being built, or partitions still lack it';
comment on column @schema@.index_usage_stats.is_building is 'being built';
comment on column @schema@.index_usage_stats.is_partitioned is 'the index of a partitioned table';
comment on column @schema@.index_usage_stats.reason is 'the reason for usage_status, and what to consider before dropping the index';
comment on column @schema@.index_usage_stats.definition is
'the command that creates it; NULL while its table is exclusively locked';
comment on column @schema@.index_usage_stats.status is
'info, warning: unused, and nothing needs it: at least 100 kB, no related index, not the only index of a foreign key, as the rule index-unused has it. unknown: too early. ok: all others.';
