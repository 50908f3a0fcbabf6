-- expect: public.Dead "rows"
-- expect: public.heavily_deleted
-- expect: public.owner_wants_it_clean
-- expect: public.prepared_first
-- expect: public.toasted
-- expect: public.twice
-- expect: public.updated_late
-- autovacuum is off for it, and a third of its rows are dead
create table heavily_deleted (id int primary key, filler text) with (autovacuum_enabled = off);
insert into heavily_deleted select g, repeat('x', 100) from generate_series(1, 30000) g;
analyze heavily_deleted;
delete from heavily_deleted where id % 3 = 0;
-- an odd name, never analyzed
create table "Dead ""rows""" (id int, v text) with (autovacuum_enabled = 'f');
insert into "Dead ""rows""" select g, repeat('x', 50) from generate_series(1, 20000) g;
update "Dead ""rows""" set v = v || 'y';
-- 3% of the rows are dead, its own trigger is 1%
create table owner_wants_it_clean (id int primary key, filler text)
with (autovacuum_enabled = off, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 0);
insert into owner_wants_it_clean select g, repeat('x', 200) from generate_series(1, 40000) g;
analyze owner_wants_it_clean;
delete from owner_wants_it_clean where id % 33 = 0;
-- only the TOAST table is full of dead rows
create table toasted (id int primary key, doc text) with (autovacuum_enabled = off);
alter table toasted alter doc set storage external;
insert into toasted select g, repeat('x', 20000) from generate_series(1, 300) g;
vacuum analyze toasted;
update toasted set doc = repeat('y', 20000);
-- vacuumed while its rows were still live
create table prepared_first (id int primary key, n int) with (autovacuum_enabled = off);
insert into prepared_first select g, g from generate_series(1, 30000) g;
vacuum analyze prepared_first;
delete from prepared_first where id % 2 = 0;
create table updated_late (id int primary key, n int, t text) with (autovacuum_enabled = off);
insert into updated_late select g, g, md5(g::text) from generate_series(1, 30000) g;
vacuum analyze updated_late;
update updated_late set n = 0 where id % 2 = 0;
create table twice (id int, t text) with (autovacuum_enabled = off);
insert into twice select g, md5(g::text) from generate_series(1, 30000) g;
update twice set t = md5(t);
vacuum analyze twice;
update twice set t = md5(t) where id % 2 = 0;
