-- expect: public.t
-- remedy: keeps: other rules tell which index can be dropped
create table t (id int primary key, a int, b int, c int, d int, e int, f int, g int, h int, i int);
create index on t (a);
create index on t (b);
create index on t (c);
create index on t (d);
create index on t (e);
create index on t (f);
create index on t (g);
create index on t (h);
create index on t (i);
insert into t select x, x, x, x, x, x, x, x, x, x from generate_series(1, 20000) x;
select pg_sleep(0.7);
select 1;
