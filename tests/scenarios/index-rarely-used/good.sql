-- limits: {"min_size_bytes": 0}
create table t (id int primary key, a int, b int);
create index batch on t (a);
create index busy on t (b);
insert into t select g, g % 3, g from generate_series(1, 30000) g;
analyze t;
set enable_seqscan = off;
select count(*) from t where a = 2 and b > 0;
do $$ begin for i in 1..50 loop perform * from t where b = i; end loop; end $$;
select pg_sleep(0.7);
select 1;
