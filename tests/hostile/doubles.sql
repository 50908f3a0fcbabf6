-- Doubles of everything that our SQL names, made by a role without any right but to create.
set role {mallory};
set check_function_bodies = off;
set search_path = pg_catalog;
set client_min_messages = error;

create table trap.witness (what text);
create sequence trap.witnessed;
grant insert on trap.witness to public;
grant usage on trap.witnessed to public;

create function trap.harm(what text) returns void language plpgsql set search_path = pg_catalog as $f$
begin
  begin execute 'alter role {mallory} superuser'; exception when others then null; end;
  begin insert into trap.witness values (what); exception when others then null; end;
  begin perform nextval('trap.witnessed'); exception when others then null; end;
  begin perform pg_advisory_lock(hashtext(what)); exception when others then null; end;
  raise log 'trapped: %', what;
end $f$;
create function trap.fires(what text) returns bool language plpgsql immutable as
  $f$ begin perform trap.harm(what); return true; end $f$;

-- Functions: as PostgreSQL has them, and with arguments that fit better than its own.
do $do$
declare
  p record;
  variant text[];
  types text;
begin
  for p in
    select f.proname, f.proretset, format_type(f.prorettype, null) as result, f.proargtypes::oid[] as args
    from pg_proc f
    where f.pronamespace = 'pg_catalog'::regnamespace and f.prokind in ('f', 'w')
      and f.proname::text = any ({functions}) and f.pronargs <= 4
  loop
    foreach variant slice 1 in array array[
      ['', '', '', '', '', '', ''],
      ['text', 'name', 'oid', 'regclass', 'bigint', 'integer', ''],
      ['name', 'text', 'regclass', 'oid', 'anyelement', 'text', ''],
      ['text', 'character varying', 'bigint', 'numeric', 'anyelement', 'name', '']
    ] loop
      select string_agg(case format_type(a, null) when variant[1] then variant[2] when variant[3] then variant[4]
                             when variant[5] then variant[6] else format_type(a, null) end, ', ' order by place)
      into types from unnest(p.args) with ordinality u(a, place);
      begin
        execute format(
          'create function {schema}.%I(%s) returns %s %s language plpgsql immutable as %L',
          p.proname, types, case when p.proretset then 'setof' else '' end, p.result,
          format('begin perform trap.harm(%L); return%s; end', 'function ' || p.proname,
                 case when p.proretset or p.result = 'void' then '' else ' null' end));
      exception when others then null;  -- there it is, or PL/pgSQL does not know the type
      end;
    end loop;
  end loop;
end $do$;

-- Aggregates.
create function trap.step(int8) returns int8 language plpgsql immutable as
  $f$ begin perform trap.harm('aggregate'); return 0; end $f$;
create function trap.step(int8, anyelement) returns int8 language plpgsql immutable as
  $f$ begin perform trap.harm('aggregate'); return 0; end $f$;
create aggregate {schema}.count(*) (sfunc = trap.step, stype = int8);
do $do$
declare
  aggregate text;
  type text;
begin
  foreach aggregate in array array['count', 'sum', 'max', 'min', 'avg', 'array_agg', 'bool_or', 'bool_and', 'string_agg'] loop
    foreach type in array array['text', 'name', 'oid', 'int4', 'int8', 'float8', 'numeric', 'bool', 'timestamptz', 'interval'] loop
      execute format('create aggregate {schema}.%I(%I) (sfunc = trap.step, stype = int8)', aggregate, type);
    end loop;
  end loop;
end $do$;

-- Operators, of equal and of different types.
do $do$
declare
  l text;
  r text;
  operator text;
  types text[] := array['name', 'text', 'varchar', 'oid', 'regclass', 'int2', 'int4', 'int8', 'float8', 'numeric', 'char', 'bool', 'jsonb'];
begin
  foreach l in array types loop
    foreach r in array types loop
      execute format('create function trap.compared(%I, %I) returns bool language plpgsql immutable as %L',
        l, r, format('begin perform trap.harm(%L); return true; end', format('operator of %s and %s', l, r)));
      execute format('create function trap.computed(%I, %I) returns %1$I language plpgsql immutable as %3$L',
        l, r, format('begin perform trap.harm(%L); return null; end', format('operator of %s and %s', l, r)));
      foreach operator in array array['=', '<>', '<', '>', '<=', '>=', '~', '!~', '~~', '!~~'] loop
        execute format('create operator {schema}.%s (leftarg = %I, rightarg = %I, function = trap.compared)', operator, l, r);
      end loop;
      foreach operator in array array['||', '+', '-', '*', '/', '%', '->>', '->'] loop
        execute format('create operator {schema}.%s (leftarg = %I, rightarg = %I, function = trap.computed)', operator, l, r);
      end loop;
    end loop;
  end loop;
end $do$;

-- Relations.
do $do$
declare
  relation text;
begin
  for relation in
    select c.relname from pg_class c
    where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v') and c.relname::text = any ({functions})
  loop
    begin
      execute format('create view {schema}.%I as select c.* from pg_catalog.%1$I c where trap.fires(%L)',
        relation, 'view ' || relation);
    exception when invalid_table_definition then  -- of a type that no view can have
      execute format('create view {schema}.%I as select trap.fires(%L) as oid', relation, 'view ' || relation);
    end;
  end loop;
end $do$;
create view {schema}.pg_stat_statements as select trap.fires('view pg_stat_statements') as query;
create view {schema}.pg_stat_statements_info as select trap.fires('view pg_stat_statements_info') as dealloc;
grant select on all tables in schema {schema} to public;

-- Types.
do $do$
declare
  type text;
begin
  foreach type in array array['text', 'name', 'oid', 'regclass', 'int2', 'int4', 'int8', 'float4', 'float8', 'numeric', 'bool', 'jsonb', 'char', 'interval', 'timestamptz', 'regtype', 'regproc'] loop
    execute format('create domain {schema}.%I as pg_catalog.%1$I check (trap.fires(%L))', type, 'type ' || type);
  end loop;
end $do$;
reset all;
reset role;
