-- expect: public.narrow
-- expect: public.middle
-- expect: public.expr_narrow
-- expect: public.partial_narrow
-- expect: public.desc_narrow
-- expect: public.of_unique
-- expect: public.of_pk
-- expect: public.before_include
-- expect: public.parent_narrow
create table t (id int, id2 int, a int, b int, c int, d text, e int, f int, g int, primary key (id, id2));
insert into t select g, g, g, g, g, 'x' || g, g, g, g from generate_series(1, 20000) g;
create index narrow on t (a);
create index middle on t (a, b);
create index wide on t (a, b, c);
create index expr_narrow on t (lower(d));
create index expr_wide on t (lower(d), c);
create index partial_narrow on t (c) where e > 5;
create index partial_wide on t (c, b) where e > 5;
create index desc_narrow on t (e desc);
create index desc_wide on t (e desc, a);
create index of_unique on t (f);
create unique index the_unique on t (f, g);
create index of_pk on t (id);
create index before_include on t (g);
create index with_include on t (g) include (a);
create table p (id int, at date, x int) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create index parent_narrow on p (id);
create index parent_wide on p (id, x);
analyze;
