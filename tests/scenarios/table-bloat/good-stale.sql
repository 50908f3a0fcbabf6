-- unknown: its statistics are stale
-- the rows were narrow when they were analyzed, and are wide now
create table widened (id int, t text) with (autovacuum_enabled = off);
insert into widened select g, 'x' from generate_series(1, 30000) g;
analyze widened;
update widened set t = string_agg from (select string_agg(md5(g::text), '') from generate_series(1, 20) g) x;
vacuum widened;
