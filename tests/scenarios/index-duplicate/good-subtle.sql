create extension pg_trgm;
create extension btree_gist;
create table t (a int, b int, c text, d text, e int, r int4range, v varchar, p point);
insert into t select g, g % 5, 'x' || g, 'y' || g, g, int4range(g, g + 1), g::text, point(g, g) from generate_series(1, 20000) g;
-- a deferrable and an immediate constraint promise different things
alter table t add constraint t_later unique (a) deferrable initially deferred;
create unique index t_now on t (a);
-- operator class parameters
create index on t using gist (c gist_trgm_ops (siglen = 12));
create index on t using gist (c gist_trgm_ops (siglen = 64));
create index on t using gin (d gin_trgm_ops);
create index on t using gist (d gist_trgm_ops);
-- the order of columns does not matter to GIN, but that is not checked here
create index on t using gin (c gin_trgm_ops, d gin_trgm_ops);
create index on t using gin (d gin_trgm_ops, c gin_trgm_ops);
-- an exclusion constraint and a GiST index with one more column
create index on t using gist (r, e);
alter table t add constraint t_excl exclude using gist (r with &&);
-- weaker and stronger predicates
create index on t (e) where b > 1;
create index on t (e) where b > 2;
create index on t (e) where b > 1 and a > 0;
create index on t (v varchar_pattern_ops);
create index on t (v);
-- a constant of another type, a function of another schema
create index on t ((e + 1));
create index on t ((e + 1::bigint));
create schema other;
create function other.upper(text) returns text immutable language sql as 'select pg_catalog.lower($1)';
create index on t (upper(c));
create index on t (other.upper(c));
-- reversed orders are equivalent only if all columns are reversed; here one of two is
create index on t (a, e desc);
create index on t (a desc, e desc nulls last);
-- the indexes of CLUSTER and the replica identity stay, even if others are identical
create table cl (a int not null);
create index cl_first on cl (a);
cluster cl using cl_first;
create unique index cl_identity on cl (a);
alter table cl replica identity using index cl_identity;
-- a foreign key needs the unique constraint, the replica identity the primary key
create table k_two (id int not null);
alter table k_two add constraint k_two_a unique (id);
create table k_two_child (a int references k_two (id));
alter table k_two add constraint k_two_b primary key (id);
analyze;
