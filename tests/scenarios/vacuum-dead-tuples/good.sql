-- 10% of the rows are dead, its trigger is 20%
create table below_trigger (id int primary key, filler text) with (autovacuum_enabled = off);
insert into below_trigger select g, repeat('x', 100) from generate_series(1, 30000) g;
analyze below_trigger;
delete from below_trigger where id % 10 = 0;
-- half of the rows are dead, but its own trigger is higher
create table owner_can_wait (id int primary key, filler text)
with (autovacuum_enabled = off, autovacuum_vacuum_scale_factor = 0.6);
insert into owner_can_wait select g, repeat('x', 100) from generate_series(1, 30000) g;
analyze owner_can_wait;
delete from owner_can_wait where id % 2 = 0;
create table absolute_trigger (id int primary key)
with (autovacuum_enabled = off, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000000);
insert into absolute_trigger select generate_series(1, 30000);
analyze absolute_trigger;
delete from absolute_trigger;
-- tiny, all rows dead again and again
create table tiny (id int primary key, n int) with (autovacuum_enabled = off);
insert into tiny select g, 0 from generate_series(1, 10) g;
update tiny set n = n + 1; update tiny set n = n + 1; update tiny set n = n + 1;
-- vacuumed
create table clean (id int primary key) with (autovacuum_enabled = off);
insert into clean select generate_series(1, 30000);
delete from clean where id % 2 = 0;
-- the session reports its counts before it vacuums; otherwise they would contradict each other
select pg_sleep(1.1);
vacuum analyze clean;
-- truncated: no dead rows are left
create table emptied (id int) with (autovacuum_enabled = off);
insert into emptied select generate_series(1, 30000);
delete from emptied;
truncate emptied;
-- partitioned tables contain no rows themselves
create table p (id int) partition by range (id);
create table p1 partition of p for values from (0) to (100000);
insert into p select generate_series(1, 20000);
create table refreshed (id int primary key, n int, t text) with (autovacuum_enabled = off);
insert into refreshed select g, g, md5(g::text) from generate_series(1, 30000) g;
select pg_sleep(1.1);
update refreshed set n = 0;
vacuum analyze refreshed;
create table rewritten (id int, t text) with (autovacuum_enabled = off);
insert into rewritten select g, md5(g::text) from generate_series(1, 30000) g;
update rewritten set t = md5(t);
update rewritten set t = md5(t);
vacuum analyze rewritten;
