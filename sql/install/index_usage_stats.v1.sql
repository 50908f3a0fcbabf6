create or replace view @schema@.index_usage_stats as
with judged as (
    select
        i.*,
        extract(epoch from now() - i.counters_since) / 86400 as days,
        extract(epoch from w.unused_window) / 86400 as window_days,
        i.idx_scan / greatest(extract(epoch from now() - i.counters_since) / 86400, 1) as per_day,
        i.is_unique or i.is_exclusion or i.constraint_name is not null
            or i.is_replica_identity or i.parent_index is not null as is_constraint,
        i.last_idx_scan < now() - w.unused_window as is_long_ago
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
                case when j.idx_scan = 0 then 'UNUSED' else 'RARELY_USED' end
            else 'TOO_EARLY'
        end as usage_status
    from judged j
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
                    when s.parent_index is not null then 'part of ' || s.parent_index || ' and judged with it'
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
                    when s.days is null then 'the server does not tell since when it counts'
                    else 'counters cover ' || round(s.days::numeric, 1) || ' of '
                        || round(s.window_days::numeric, 1) || ' days' end
        end,
        case when not s.is_valid and not s.is_building then 'invalid' end,
        case when s.usage_status in ('UNUSED', 'RARELY_USED') and s.supports_foreign_key
            then 'supports a foreign key: without it, deletes in the referenced table scan this one' end,
        case when s.usage_status in ('UNUSED', 'RARELY_USED') and s.is_clustered
            then 'CLUSTER uses it' end
    ) as reason,
    s.definition
from stated s;

comment on view @schema@.index_usage_stats is
$comment$One row an index on a user table: whether queries use it, on this server (a standby counts its own).

The window is 30 days; SET pgwatch_wed.unused_window = '14 days' changes it for a session, ALTER DATABASE ... SET for all.

Installed by pgwatch_wed: index_usage_stats v1.$comment$;
comment on column @schema@.index_usage_stats.schemaname is 'schema of the table and the index';
comment on column @schema@.index_usage_stats.relname is 'the table';
comment on column @schema@.index_usage_stats.indexrelname is 'the index';
comment on column @schema@.index_usage_stats.usage_status is
'UNUSED: no scan since counters_since, at least a window ago. RARELY_USED: less than one scan a day, or none within the window. USED: at least one scan a day. CONSTRAINT: enforces something or is part of a partitioned index; never a candidate, whatever its scans. TOO_EARLY: the counters are younger than the window.';
comment on column @schema@.index_usage_stats.size_bytes is
'bytes as of the last VACUUM, ANALYZE or build; of a partitioned index the sum over its partitions';
comment on column @schema@.index_usage_stats.idx_scan is
'scans since counters_since; of a partitioned index the sum over its partitions';
comment on column @schema@.index_usage_stats.scans_per_day is 'idx_scan a day; a started day counts as one';
comment on column @schema@.index_usage_stats.last_idx_scan is 'time of the last scan (16 and later)';
comment on column @schema@.index_usage_stats.counters_since is 'since when scans of this index can have been counted';
comment on column @schema@.index_usage_stats.table_writes is
'rows inserted and updated not HOT: about the entries that this index had to take';
comment on column @schema@.index_usage_stats.is_valid is
'false: left by a failed CREATE INDEX CONCURRENTLY, being built, or partitions still lack it';
comment on column @schema@.index_usage_stats.is_building is 'is being built now';
comment on column @schema@.index_usage_stats.is_partitioned is 'is the index of a partitioned table';
comment on column @schema@.index_usage_stats.reason is 'why usage_status is so, and what to know before dropping it';
comment on column @schema@.index_usage_stats.definition is
'the command that makes it; NULL while its table is locked exclusively';
