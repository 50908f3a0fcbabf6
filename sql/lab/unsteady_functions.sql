-- A row is a function whose result may be another in each session: those of the target that are not immutable, and current_setting.
select distinct n.nspname::text as schema, p.proname::text as name
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
where p.provolatile <> 'i' and not p.proretset and n.nspname not in ('pg_catalog', 'information_schema')
    or p.proname = 'current_setting'
