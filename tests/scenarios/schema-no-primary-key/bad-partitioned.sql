-- expect: public.parted
-- pg: >= 17
create table parted (id int, "a t" date) partition by range ("a t");
create table parted_one partition of parted for values from ('2020-01-01') to ('2021-01-01');
