-- unknown: since ANALYZE
create table t (id int, u text) with (autovacuum_enabled = off);
insert into t select g, g from generate_series(1, 100000) g;
create index on t (u);
analyze t;
update t set u = repeat('x', 100) || u where id <= 50000;
vacuum t;
select pg_sleep(0.7);
select 1;
