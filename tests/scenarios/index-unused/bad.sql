-- expect: public.nobody_reads
-- expect: public.nobody_gin
-- expect: public.parent_idle
create table t (id int primary key, a int, b int, tags int[]);
insert into t select g, g, g % 10, array[g] from generate_series(1, 50000) g;
create index nobody_reads on t (a);
create index nobody_gin on t using gin (tags);
create index somebody_reads on t (b, id);
create table p (id int, at date) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create table p_two partition of p for values from ('2021-01-01') to ('2022-01-01');
insert into p select g, date '2020-01-01' + g % 700 from generate_series(1, 50000) g;
create index parent_idle on p (id);
create index parent_used on p (at);
analyze;
set enable_seqscan = off;
select count(*) from t where b = 3 and id = 7;
select count(*) from t where id = 7;
select count(*) from p where at = '2020-05-01';
select pg_sleep(0.7);
select 1;
