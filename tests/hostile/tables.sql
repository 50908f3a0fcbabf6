-- Tables with code of their owner's in everything that the planner looks at, statements that read them, and casts.
set role {mallory};
set search_path = pg_catalog;
create function trap.marked(what text, int) returns int language plpgsql immutable as
  $f$ begin perform trap.harm(what); return $2; end $f$;
create function trap.marked(what text, text) returns bool language plpgsql immutable as
  $f$ begin perform trap.harm(what); return true; end $f$;
create domain trap.checked as text check (trap.marked('domain', 'constant') and value <> '');
create table trap.things (
  id int, n int default trap.marked('default', 1), kind trap.checked,
  constraint positive check (n > trap.marked('check', 0) - 1)
) with (autovacuum_enabled = off);
insert into trap.things select g, g, 'k' from generate_series(1, 3000) g;
create index things_expression on trap.things ((id + trap.marked('index', 1)));
create index things_predicate on trap.things (n) where n > trap.marked('predicate', 100);
do $$ begin
  execute $e$ create statistics trap.things_statistics on (id + trap.marked('statistics', 1)), n from trap.things $e$;
exception when feature_not_supported then null;  -- expressions came with 14
end $$;
create table trap.parts (id int, n int) partition by range ((id + trap.marked('partition key', 1)));
create table trap.parts_1 partition of trap.parts for values from (1) to (1000) with (autovacuum_enabled = off);
insert into trap.parts select g, g from generate_series(1, 900) g;
create table trap.guarded (id int, n int) with (autovacuum_enabled = off);
alter table trap.guarded enable row level security;
create policy guarded_policy on trap.guarded using (n > trap.marked('policy', 0));
create table trap.ruled (id int) with (autovacuum_enabled = off);
create rule ruled_rule as on insert to trap.ruled do also select trap.marked('rule', 1);
-- a view that the path finds, where there are tables of this name
create table trap.orders (id int) with (autovacuum_enabled = off);
create view {schema}.orders as select o.id from trap.orders o where trap.fires('view orders');

create table trap.checked_only (kind trap.checked) with (autovacuum_enabled = off);

create type trap.mood as enum ('sad', 'glad');
create function trap.as_jsonb(trap.mood) returns jsonb language plpgsql immutable as
  $f$ begin perform trap.harm('cast to jsonb'); return 'null'; end $f$;
create function trap.as_json(trap.mood) returns json language plpgsql immutable as
  $f$ begin perform trap.harm('cast to json'); return 'null'; end $f$;
create function trap.as_text(trap.mood) returns text language plpgsql immutable as
  $f$ begin perform trap.harm('cast to text'); return ''; end $f$;
create cast (trap.mood as jsonb) with function trap.as_jsonb(trap.mood);
create cast (trap.mood as json) with function trap.as_json(trap.mood);
create cast (trap.mood as text) with function trap.as_text(trap.mood) as implicit;
create table trap.moods (id int) with (autovacuum_enabled = off);
insert into trap.moods select generate_series(1, 500);
-- the catalog keeps the value that older rows have
alter table trap.moods add column mood trap.mood default 'sad';
analyze trap.things, trap.parts_1, trap.guarded, trap.ruled, trap.moods;

grant select, insert on all tables in schema trap to public;
select count(*) from trap.things where id = 1;
select count(*) from trap.parts where id = 5 and n = 1;
select count(*) from trap.guarded where id = 1;
select count(*) from trap.moods where mood::text = 'sad';
insert into trap.things values (0, 1, 'k');
insert into trap.ruled values (1);
select pg_catalog.upper(kind) from trap.things where id = 1;
reset all;
set search_path = {schema};
select count(*) from orders where id = 1;
reset all;
reset role;
