-- Gives the planner columns that may be NULL, except those of primary keys, so that it tests IS NOT NULL as it does before 17.
-- GROUP BY depends on primary keys alone in those versions, too.
update pg_attribute set attnotnull = false
from pg_class
where pg_class.oid = attrelid and relkind in ('r', 'p', 'm') and attnum > 0 and attnotnull
    and relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    and not exists (
        select from pg_index where indrelid = attrelid and indisprimary and attnum = any (indkey)
    )
