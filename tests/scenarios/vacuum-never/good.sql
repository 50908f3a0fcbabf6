create table vacuumed (id int) with (autovacuum_enabled = off);
insert into vacuumed select generate_series(1, 20000);
select pg_sleep(1.1);
vacuum vacuumed;
create table small (id int) with (autovacuum_enabled = off);
insert into small select generate_series(1, 2000);
create table below_trigger (id int) with (autovacuum_vacuum_insert_threshold = 50000);
insert into below_trigger select generate_series(1, 20000);
create table p (id int) partition by range (id);
create table p1 partition of p for values from (0) to (100000) with (autovacuum_vacuum_insert_scale_factor = 10, autovacuum_vacuum_insert_threshold = 30000);
insert into p select generate_series(1, 20000);
-- a reset clears the counters, but not the visibility map
create table reset (id int) with (autovacuum_enabled = off);
insert into reset select generate_series(1, 20000);
vacuum reset;
select pg_sleep(1.1);
select pg_stat_reset();
insert into reset select generate_series(1, 15000);
