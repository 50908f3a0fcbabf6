create table t (id int primary key, a int, b int, c text, d text, u int, n int,
    c7 int, c8 int, c9 int, c10 int, c11 int, c12 int, arr int[], j jsonb);
insert into t select g, g, g % 10, 'x' || g, 'y', g, g from generate_series(1, 20000) g;
-- different predicates, expressions, collations, orders, operator classes, access methods
create index on t (a) where b = 1;
create index on t (a) where b = 2;
create index on t (a);
create index on t (lower(c));
create index on t (upper(c));
create index on t (c);
create index on t (c collate "C");
create index on t (c text_pattern_ops);
create index on t using hash (c);
create index on t (a, b);
create index on t (a, b desc);
create index on t (a, b nulls first);
create index on t (b, a);
create index on t (b) include (a);
create index on t using brin (a);
create index on t using brin (a) with (pages_per_range = 16);
create index on t using gin (arr);
create index on t using gin (j);
create index on t using gin (j jsonb_path_ops);
-- attribute numbers that look alike as text: 1, 10, 12
create index on t (c10);
create index on t (c12, b);
-- unique with a different predicate
create unique index on t (u) where b = 1;
create unique index on t (u) where b = 2;
-- deferrable and immediate: only the immediate one serves ON CONFLICT and foreign keys
create table k (a int not null, b int not null, c int);
alter table k add constraint k_def unique (a) deferrable initially deferred;
create unique index k_now on k (b);
alter table k add constraint k_one unique (c) deferrable;
create table r (id int primary key);
create table r2 (id int references r);
-- the same columns in another table
create table t2 (like t including indexes);
-- indexes of partitions, attached to a partitioned index, and not duplicates of each other
create table p (id int, at date) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create table p_two partition of p for values from ('2021-01-01') to ('2022-01-01');
create index on p (id);
-- an index that the replica identity needs, and the unique one that a foreign key needs
create table ri (id int not null);
create unique index ri_identity on ri (id);
alter table ri replica identity using index ri_identity;
-- an invalid duplicate replaces nothing
create table v (a int);
insert into v values (1), (1);
\set ON_ERROR_STOP off
create unique index concurrently v_invalid on v (a);
\set ON_ERROR_STOP on
create index v_valid on v (a);
analyze;
