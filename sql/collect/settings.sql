-- A row is a configuration parameter as a new session would see it, regardless of our own guards.
select
    name::text as name,
    -- the guards of our own session must not be mistaken for the server's configuration
    case
        -- these may contain passwords and keys: only whether they are set is needed
        when x.is_secret and setting not in ('', '(disabled)') then '(set)'
        when source = 'session' then reset_val
        else setting
    end as setting,
    unit::text as unit,
    vartype::text as vartype,
    source::text as source,
    boot_val,
    case
        when x.is_secret and reset_val not in ('', '(disabled)') then '(set)'
        else reset_val
    end as reset_val,
    context::text as context,
    pending_restart,
    sourcefile,
    sourceline::int as sourceline,
    category::text as category,
    enumvals as enum_values,
    -- a larger one is no limit
    case when abs(min_val::float8) < 1e15 then min_val::float8 end as min_value,
    case when abs(max_val::float8) < 1e15 then max_val::float8 end as max_value
from pg_settings
cross join lateral (
    select name = any (array['primary_conninfo', 'archive_command', 'restore_command', 'archive_cleanup_command',
        'recovery_end_command', 'ssl_passphrase_command']) as is_secret
) x
