create extension btree_gist;
create table room (id int primary key);
insert into room select generate_series(1, 20000);
-- an exclusion constraint with btree_gist supports the check
create table booking (
    room_id int references room,
    during int4range,
    exclude using gist (room_id with =, during with &&)
);
insert into booking select g, int4range(g, g + 1) from generate_series(1, 20000) g;
-- pattern operator classes support equality, too
create table code (c text primary key);
insert into code select 'c' || g from generate_series(1, 20000) g;
create table coded (c text references code);
insert into coded select 'c' || g from generate_series(1, 20000) g;
create index on coded (c text_pattern_ops);
-- every partition has its own index, the partitioned table has none
create table part (id int references room, at date) partition by range (at);
create table part_one partition of part for values from ('2020-01-01') to ('2021-01-01');
create table part_two (at date, id int);
alter table part attach partition part_two for values from ('2021-01-01') to ('2022-01-01');
insert into part select g, date '2020-01-01' + g % 700 from generate_series(1, 20000) g;
create index on part_one (id);
create index on part_two (id, at);
-- descending, unique, with more columns after it
create table d (room_id int references room, x int, unique (room_id, x));
insert into d select g, g from generate_series(1, 20000) g;
-- refers to itself
create table tree (id int primary key, up int references tree);
insert into tree select g, nullif(g / 2, 0) from generate_series(1, 20000) g;
create index on tree (up desc nulls last);
analyze;
