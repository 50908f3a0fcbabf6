create table t (id int primary key, a int, b int, c text, c4 int, c5 int, c6 int, c7 int, c8 int, c9 int, c10 int, c11 int, c12 int);
insert into t select g, g, g % 10, 'x' || g from generate_series(1, 20000) g;
-- a unique index as prefix, and a wider index on different columns
create unique index on t (a);
create index on t (a, b);
create index on t (b, a);
-- different collation, operator class, order, predicate
create index on t (c collate "C");
create index on t (c, b);
create index on t (c4 desc);
create index on t (c4, b);
create index on t (c5 nulls first);
create index on t (c5, b);
create index on t (c6) where b = 1;
create index on t (c6, a) where b = 2;
create index on t (c7);
create index on t (c7, a) where b = 2;
-- INCLUDE is not a key
create index on t (c8) include (a);
create index on t (c8, a);
-- 1 and 10 and 12 are different columns
create index on t (id, c12);
create index on t (c10);
create index on t (c12, c11);
-- other access methods have no leading keys
create index on t using brin (c9);
create index on t using brin (c9, c10);
create index on t using hash (c11);
create index on t (c11, c9);
-- the wider index is invalid
create table v (a int, b int);
insert into v values (1, 1), (1, 1);
create index v_narrow on v (a);
\set ON_ERROR_STOP off
create unique index concurrently v_wide on v (a, b);
\set ON_ERROR_STOP on
-- needed by the replica identity or CLUSTER
create table cl (a int, b int);
create index cl_a on cl (a);
create index cl_ab on cl (a, b);
cluster cl using cl_a;
analyze;
