-- expect: public.child_wide
-- expect: public.expr
create table parent (id int primary key);
create table child (id int, parent_id int references parent, note text);
insert into parent select generate_series(1, 20000);
insert into child select g, g, repeat('some note', 20) || g from generate_series(1, 20000) g;
create index child_hash on child using hash (parent_id);
create index child_wide on child (parent_id, note, id);
create index expr on child ((upper(note) || id));
analyze;
set enable_indexscan = off;
set enable_bitmapscan = off;
set enable_indexonlyscan = off;
delete from parent where id = 10000000;
insert into parent values (10000001);
set plan_cache_mode = force_generic_plan;
update parent set id = 10000002 where id = 10000001;
select pg_sleep(0.7);
select 1;
