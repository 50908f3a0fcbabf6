-- A row is a configuration parameter as a new session would see it, our own guards aside.
select
    name::text as name,
    -- our session's own guards must not pass for the server's configuration
    case when source = 'session' then reset_val else setting end as setting,
    unit::text as unit,
    vartype::text as vartype,
    source::text as source,
    boot_val,
    reset_val,
    context::text as context,
    pending_restart,
    sourcefile,
    sourceline::int as sourceline,
    category::text as category,
    enumvals as enum_values
from pg_settings
