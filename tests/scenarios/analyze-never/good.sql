create table analysed (id int);
insert into analysed select generate_series(1, 5000);
analyze analysed;
create table empty (id int);
create table tiny (id int);
insert into tiny select generate_series(1, 100);
create table emptied (id int);
insert into emptied select generate_series(1, 5000);
truncate emptied;
create table p (id int) partition by range (id);
create table p1 partition of p for values from (0) to (100000);
insert into p select generate_series(1, 5000);
analyze p;
-- a reset clears the counters, but not the statistics
select pg_sleep(1.1);
select pg_stat_reset();
select pg_sleep(0.6);
select count(*) from analysed;
