-- expect: public.coll_fkey
-- expect: public.half_fkey
-- expect: public.tree_up_fkey
-- expect: public.inv_fkey
-- expect: public.gin_fkey
-- expect: public.or_fkey
-- expect: public.long_fkey
create extension btree_gin;
create table code (c text primary key, n int unique);
insert into code select 'c' || g, g from generate_series(0, 100) g;
-- the check compares with the column's own collation
create table coll (c text, constraint coll_fkey foreign key (c) references code);
insert into coll select 'c' || g % 100 from generate_series(1, 20000) g;
create index on coll (c collate "C");
-- one partition lacks it
create table half (n int, at date, constraint half_fkey foreign key (n) references code (n)) partition by range (at);
create table half_one partition of half for values from ('2020-01-01') to ('2021-01-01');
create table half_two partition of half for values from ('2021-01-01') to ('2022-01-01');
insert into half select g % 100, date '2020-01-01' + g % 700 from generate_series(1, 20000) g;
create index on half_one (n);
create table tree (id int primary key, up int, constraint tree_up_fkey foreign key (up) references tree);
insert into tree select g, nullif(g / 2, 0) from generate_series(1, 20000) g;
create table inv (n int, constraint inv_fkey foreign key (n) references code (n));
insert into inv select g % 100 from generate_series(1, 20000) g;
\set ON_ERROR_STOP off
create unique index concurrently on inv (n);
\set ON_ERROR_STOP on
create table gin (n int, t text, constraint gin_fkey foreign key (n) references code (n));
insert into gin select g % 100, 'x' from generate_series(1, 20000) g;
create index on gin using gin (n);
create table orr (n int, m int, constraint or_fkey foreign key (n) references code (n));
insert into orr select g % 100, g from generate_series(1, 20000) g;
create index on orr (n) where n is not null or m is not null;
-- names that are truncated to the same 63 bytes
create table long_name_of_a_partitioned_table_that_leaves_no_room_for_more (n int, at date,
    constraint long_fkey foreign key (n) references code (n)) partition by range (at);
create table long_name_of_a_partitioned_table_that_leaves_no_room_for_mor_1
    partition of long_name_of_a_partitioned_table_that_leaves_no_room_for_more for values from ('2020-01-01') to ('2021-01-01');
create table long_name_of_a_partitioned_table_that_leaves_no_room_for_mor_2
    partition of long_name_of_a_partitioned_table_that_leaves_no_room_for_more for values from ('2021-01-01') to ('2022-01-01');
insert into long_name_of_a_partitioned_table_that_leaves_no_room_for_more
    select g % 100, date '2020-01-01' + g % 700 from generate_series(1, 20000) g;
analyze;
