-- Gives the guest what it needs for what-if requests: a function that shows and hides indexes, and pg_buffercache.
create schema @schema@;
create extension pg_buffercache schema @schema@;
create function @schema@.show(shown oid[], hidden oid[], of_tables oid[]) returns void
language sql security definer set search_path = pg_catalog as $$
    update pg_index set indislive = x.on, indisvalid = x.on
    from (select unnest(shown) as oid, true as on union all select unnest(hidden), false) x
    where indexrelid = x.oid;
    -- a table's list of indexes is cached until its own entry changes
    update pg_class set relname = relname where oid = any (of_tables);
$$;
revoke all on all functions in schema @schema@ from public;
grant usage on schema @schema@ to @guest@;
grant execute on function @schema@.show to @guest@;
