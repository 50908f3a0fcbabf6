create table t (id int primary key, a int, b int, c text, d int, e int, f int);
insert into t select g, g, g % 10, 'x' || g, g, g, g from generate_series(1, 20000) g;
-- a full index as prefix of a partial one, and a partial one of a full one
create index on t (a);
create index on t (a, b) where b = 1;
create index on t (d) where b = 1;
create index on t (d, b);
-- the leading expression is a different one
create index on t ((d + e));
create index on t ((d + e + 1), a);
create index on t (lower(c));
create index on t (lower(c) desc, b);
-- the second key, not the first
create index on t (e);
create index on t (b, e);
-- reversed: a backward scan would do, but the order is not the same
create index on t (f);
create index on t (f desc nulls first, b);
-- unique prefixes enforce something
create unique index on t (b, id);
create index on t (b, id, a);
-- attached partition indexes cannot be dropped without their parent
create table p (id int, at date, x int) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create index on p (id);
create index p_one_wide on p_one (id, x);
-- inheritance children and parents are separate tables
create table parent (a int, b int);
create table kid () inherits (parent);
create index on parent (a);
create index on kid (a, b);
analyze;
