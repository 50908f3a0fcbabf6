-- expect: public.plain
-- expect: public.nullable_unique
-- expect: public.partial_unique
-- expect: public.expression_unique
-- expect: public.deferred_unique
-- expect: public.has_id
-- expect: public.Ta "ble
-- expect: public.kid
create table plain (a int);
create table nullable_unique (a int unique);
create table partial_unique (a int not null, b int);
create unique index on partial_unique (a) where b > 0;
create table expression_unique (a text not null);
create unique index on expression_unique (lower(a));
create table deferred_unique (a int not null unique deferrable);
create table has_id (id int, row_id int);
create table "Ta ""ble" (a int);
create table parent (id int primary key);
-- inheritance children do not inherit the parent's key
create table kid () inherits (parent);
insert into plain select generate_series(1, 100);
