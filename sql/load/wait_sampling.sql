-- A row tells whether pg_wait_sampling is here, and what its profile is made of.
select
    quote_ident(n.nspname) as schema,
    -- its parameters are known only where it was preloaded
    current_setting('pg_wait_sampling.profile_period', true) is not null as is_preloaded,
    coalesce(current_setting('pg_wait_sampling.profile_queries', true), '') not in ('', 'off', 'none') as has_queries
from (select) as one
left join pg_extension x on x.extname = 'pg_wait_sampling'
left join pg_namespace n on n.oid = x.extnamespace
