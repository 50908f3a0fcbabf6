-- pg: < 16
-- expect: public.t_brin
-- remedy: keeps: counters are not reset when an index is dropped
create table t (id int primary key, seen int) with (fillfactor = 30);
insert into t select g, g from generate_series(1, 3000) g;
create index t_brin on t using brin (seen);
analyze t;
update t set seen = seen + 1;
update t set seen = seen + 1;
select pg_sleep(0.7);
select 1;
