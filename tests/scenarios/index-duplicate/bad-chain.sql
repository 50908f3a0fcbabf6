-- expect: public.two
-- expect: public.three
-- expect: public.plain_beside_deferrable
-- expect: public.brin_default
-- expect: public.in_list_copy
-- expect: public.plain_beside_exclusion
-- expect: public.mat_copy
create table t (a int, b int, s text, x int, y int);
insert into t select g, g, 'x' || g % 3, g, g from generate_series(1, 20000) g;
create index one on t (a);
create index two on t (a) with (fillfactor = 70);
create index three on t (a) with (deduplicate_items = off);
alter table t add constraint t_b_key unique (b) deferrable;
create index plain_beside_deferrable on t (b);
create index brin_first on t using brin (x);
create index brin_default on t using brin (x) with (pages_per_range = 128);
create index in_list on t (x) where s in ('x1', 'x2');
create index in_list_copy on t (x) where   s in ('x1',   'x2');
alter table t add constraint t_no_two exclude using btree (y with =);
create index plain_beside_exclusion on t (y);
create materialized view mat as select a from t;
create unique index mat_key on mat (a);
create index mat_copy on mat (a);
analyze;
