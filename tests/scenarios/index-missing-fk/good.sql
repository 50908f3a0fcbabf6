create table parent (id int primary key);
create table parent2 (a int, b int, primary key (a, b));
insert into parent select generate_series(0, 20000);
insert into parent2 select g, g from generate_series(0, 100) g;
-- a foreign key that is the primary key
create table detail (id int primary key references parent);
insert into detail select generate_series(1, 20000);
create table child (
    a int references parent,
    b int references parent,
    h int references parent,
    n int references parent,
    u int unique references parent
);
insert into child select g, g, g, g, g from generate_series(1, 20000) g;
create index on child (a, b);
create index on child (b) include (a);
create index on child using hash (h);
create index on child (n) where n is not null;
-- either order of the columns will do
create table two (a int, b int, x int, foreign key (a, b) references parent2);
insert into two select g % 100, g % 100, g from generate_series(1, 20000) g;
create index on two (b, a, x);
-- small: a full scan is as fast
create table tiny (id int references parent);
insert into tiny select generate_series(1, 50);
-- the partitioned index supports the partitions
create table part (id int references parent, at date) partition by range (at);
create table part_one partition of part for values from ('2020-01-01') to ('2021-01-01');
insert into part select g, '2020-03-03' from generate_series(1, 20000) g;
create index on part (id);
-- empty
create table empty (id int references parent);
analyze;
