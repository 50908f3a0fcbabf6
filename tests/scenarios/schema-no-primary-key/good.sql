create table with_key (id int primary key);
create table named (a int not null, b int not null, unique (a, b));
create table parted (id int, at date, primary key (id, at)) partition by range (at);
create table parted_one partition of parted for values from ('2020-01-01') to ('2021-01-01');
create materialized view m as select 1 as a;
create view v as select 1 as a;
create temporary table temp (a int);
create table later (id int, primary key (id) deferrable initially deferred);
