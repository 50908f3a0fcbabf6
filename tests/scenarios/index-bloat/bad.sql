-- expect: public.b_few
-- expect: public.b_pkey
-- expect: public.b_txt
-- expect: public.part_one_txt_idx
create table b (id int primary key, few int, txt text);
create index b_few on b (few);
create index b_txt on b (txt);
insert into b select g, g % 100, md5(g::text) from generate_series(1, 200000) g;
delete from b where id % 20 > 0;
create table part (id int, txt text) partition by range (id);
create table part_one partition of part for values from (0) to (1000000);
create index on part (txt);
insert into part select g, md5(g::text) from generate_series(1, 100000) g;
delete from part where id % 10 > 0;
select pg_sleep(1.1);
select 1;
vacuum analyze;
select pg_sleep(0.7);
select 1;
