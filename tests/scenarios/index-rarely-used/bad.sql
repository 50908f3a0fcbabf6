-- expect: public.seldom
-- limits: {"min_size_bytes": 0}
-- remedy: keeps: whether it can be dropped depends on the statement that uses it
create table t (id int primary key, a int);
create index seldom on t (a);
insert into t select g, g from generate_series(1, 50000) g;
analyze t;
set enable_seqscan = off;
select * from t where a = 5;
select pg_sleep(0.7);
select 1;
