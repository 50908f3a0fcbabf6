-- expect: public.Measured
-- expect: public.old_style
create table "Measured" (id int, at date) partition by range (at);
create table m1 partition of "Measured" for values from ('2020-01-01') to ('2021-01-01');
create table m2 partition of "Measured" for values from ('2021-01-01') to ('2022-01-01') partition by list (id);
create table m2_rest partition of m2 default;
insert into "Measured" select g, date '2020-01-01' + g % 700 from generate_series(1, 5000) g;
analyze m1, m2_rest;
create table old_style (id int, at date);
create table old_child () inherits (old_style);
insert into old_child select g, now() from generate_series(1, 5000) g;
analyze old_child;
