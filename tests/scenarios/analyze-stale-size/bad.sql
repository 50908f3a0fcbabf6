-- expect: public.grown
-- limits: {"min_size_bytes": 500000}
create table grown (a int, b text);
insert into grown select g, repeat('x', 200) from generate_series(1, 200) g;
analyze grown;
insert into grown select g, repeat('x', 200) from generate_series(1, 6000) g;
create table analyzed (a int, b text);
insert into analyzed select g, repeat('x', 200) from generate_series(1, 6000) g;
create table same (a int, b text);
insert into same select g, repeat('x', 200) from generate_series(1, 6000) g;
analyze same;
create table due (a int, b text);
select pg_sleep(1.1);
select pg_stat_reset();
analyze analyzed;
insert into due select g, repeat('x', 200) from generate_series(1, 6000) g;
select pg_sleep(0.7);
select 1;
