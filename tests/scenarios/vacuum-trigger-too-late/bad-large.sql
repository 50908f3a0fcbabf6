-- expect: public.large
-- expect: public.tuned
-- limits: {"max_dead_bytes": "400kB"}
create table large (id int primary key, doc text);
insert into large select g, repeat('x', 100) from generate_series(1, 20000) g;
analyze large;
delete from large where id = 1;
create table tuned (id int primary key, doc text) with (autovacuum_vacuum_scale_factor = 0.19);
insert into tuned select g, repeat('x', 100) from generate_series(1, 20000) g;
analyze tuned;
delete from tuned where id = 1;
