-- expect: public.of_range
-- expect: public.of_list
-- expect: public.deep
-- remedy: keeps: somebody has to decide which partitions are missing
create table by_range (id int, "a t" date) partition by range ("a t");
create table range_one partition of by_range for values from ('2020-01-01') to ('2021-01-01');
create table of_range partition of by_range default;
insert into by_range select g, date '2020-12-31' + g from generate_series(0, 10) g;
create table by_list (id int, c text) partition by list (c);
create table list_one partition of by_list for values in ('a');
create table of_list partition of by_list default;
insert into by_list values (1, 'b');
create table by_two (id int, c text) partition by list (c);
create table deep partition of by_two default partition by range (id);
create table deep_one partition of deep for values from (0) to (10);
insert into by_two values (1, 'b');
analyze;
