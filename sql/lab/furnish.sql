-- Gives the guest what it needs for what-if requests.
-- These are functions that show and hide indexes and hide how many values columns have, and pg_buffercache.
create schema @schema@;
create extension pg_buffercache schema @schema@;
create function @schema@.show(shown oid[], hidden oid[], of_tables oid[]) returns void
language sql security definer set search_path = pg_catalog set lock_timeout = 0 as $$
    -- existing indexes have one entry for all sessions: whoever hides one waits for the others, always in the same order
    select 1 from pg_index where indexrelid = any (hidden) order by indexrelid for update;
    update pg_index set indislive = x.on, indisvalid = x.on
    from (select unnest(shown) as oid, true as on union all select unnest(hidden), false) x
    where indexrelid = x.oid;
    -- a table's list of indexes is cached until its own entry changes, or that of one of its columns
    update pg_class set relname = relname
    where oid = any (of_tables) and current_setting('pgwatch_wed.slot') = '0';
    update pg_attribute set attname = attname
    where attrelid = any (of_tables) and current_setting('pgwatch_wed.slot') <> '0'
    and attnum = -100 - current_setting('pgwatch_wed.slot')::int2;
$$;
create function @schema@.forget(relations oid[], attributes int[]) returns void
language sql security definer set search_path = pg_catalog as $$
    update pg_statistic set stadistinct = 0
    from unnest(relations, attributes) x (relation, attribute)
    where starelid = x.relation and staattnum = x.attribute;
$$;
revoke all on all functions in schema @schema@ from public;
grant usage on schema @schema@ to @guest@;
grant execute on function @schema@.show to @guest@;
grant execute on function @schema@.forget to @guest@;
