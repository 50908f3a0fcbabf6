-- expect: public.exact_copy
-- expect: public.fill_copy
-- expect: public.plain_beside_unique
-- expect: public.bare_unique_beside_constraint
-- expect: public.lower_copy
-- expect: public.partial_copy
-- expect: public.included_other_order
-- expect: public.plain_beside_pk
-- expect: Weird "Schema.select
-- expect: public.parent_copy
-- expect: public.second_key
-- expect: public.p_one_local
create table t (id int primary key, a int, b int, c text, d int, e int, f int);
insert into t select g, g, g % 10, 'x' || g, g, g, g from generate_series(1, 20000) g;
create index exact_original on t (a);
create index exact_copy on t (a);
create index fill_original on t (b, a);
create index fill_copy on t (b, a) with (fillfactor = 50);
create unique index unique_d on t (d);
create index plain_beside_unique on t (d);
alter table t add constraint t_e_key unique (e);
create unique index bare_unique_beside_constraint on t (e);
create index lower_original on t (lower(c));
create index lower_copy on t (lower(c));
create index partial_original on t (c) where b = 3;
create index partial_copy on t (c) where b = 3;
create index included_original on t (f) include (a, b);
create index included_other_order on t (f) include (b, a);
create index plain_beside_pk on t (id);
create table k (id int primary key);
alter table k add constraint second_key unique (id);
create schema "Weird ""Schema";
create table "Weird ""Schema"."Tä ble" ("sel;ect" int);
create index aaa on "Weird ""Schema"."Tä ble" ("sel;ect");
create index "select" on "Weird ""Schema"."Tä ble" ("sel;ect");
create table p (id int, at date) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create index parent_original on p (id);
create index parent_copy on p (id);
create index parent_at on p (at);
create index p_one_local on p_one (at);
analyze;
