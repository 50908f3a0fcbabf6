-- 5% changed, its trigger is 10%
create table below (id int, n int) with (autovacuum_enabled = off);
insert into below select g, g from generate_series(1, 100000) g;
analyze below;
insert into below select g, g from generate_series(1, 5000) g;
-- half of it changed, but its own trigger is higher
create table patient (id int, n int) with (autovacuum_enabled = off, autovacuum_analyze_scale_factor = 0.9);
insert into patient select g, g from generate_series(1, 20000) g;
analyze patient;
update patient set n = 0 where id % 2 = 0;
-- autoanalyze is on and runs within a minute
create table soon (id int, n int);
insert into soon select g, g from generate_series(1, 20000) g;
analyze soon;
update soon set n = 0 where id < 3000;
-- never analyzed: analyze-never
create table never (id int) with (autovacuum_enabled = off);
insert into never select generate_series(1, 20000);
