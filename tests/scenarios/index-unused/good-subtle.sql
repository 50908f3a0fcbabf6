-- other rules report a duplicate, a prefix and what replaces them; of two unused indexes, the check of a busy parent needs one
create table t (id int primary key, a int, b int, c int);
insert into t select g, g, g, g from generate_series(1, 50000) g;
create index copy_one on t (a);
create index copy_two on t (a);
create index narrow on t (b);
create index wide on t (b, c);
create table parent (id int primary key);
create table child (id int, parent_id int references parent);
insert into parent select generate_series(1, 20000);
insert into child select null, g from generate_series(1, 20000) g;
create index child_hash on child using hash (parent_id);
-- nothing was deleted from the referenced table so far; without the index, index-missing-fk would ask for it
create table idle (id int primary key);
create table of_idle (idle_id int references idle);
insert into idle select generate_series(1, 20000);
insert into of_idle select g from generate_series(1, 20000) g;
create index child_of_idle on of_idle (idle_id);
analyze;
set enable_seqscan = off;
set enable_bitmapscan = off;
select count(*) from t where b = 5;
set enable_indexscan = off;
set enable_indexonlyscan = off;
delete from parent where id = 10000000;
reset all;
-- a partitioned parent whose rows are deleted
create table pp (id int primary key) partition by range (id);
create table pp_one partition of pp for values from (0) to (100000);
insert into pp select generate_series(1, 20000);
create table pchild (id int references pp);
insert into pchild select generate_series(1, 10000);
create index pchild_id on pchild (id);
delete from pp where id = 20000;
update parent set id = id where id = 5;
select pg_sleep(0.7);
select 1;
