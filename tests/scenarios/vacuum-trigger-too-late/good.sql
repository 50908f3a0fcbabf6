create table plain (id int primary key, n int);
insert into plain select g, g from generate_series(1, 50000) g;
analyze plain;
delete from plain where id % 10 = 0;
-- nothing is ever updated or deleted here
create table log (id int) with (autovacuum_vacuum_scale_factor = 0.9);
insert into log select generate_series(1, 50000);
analyze log;
-- lower than the default
create table eager (id int primary key) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
insert into eager select generate_series(1, 50000);
analyze eager;
delete from eager where id = 1;
-- small
create table small (id int primary key, n int) with (autovacuum_vacuum_scale_factor = 1);
insert into small select g, g from generate_series(1, 500) g;
analyze small;
update small set n = 0;
-- off altogether: vacuum-disabled
create table off (id int primary key) with (autovacuum_vacuum_scale_factor = 1, autovacuum_enabled = off);
insert into off select generate_series(1, 50000);
analyze off;
delete from off where id = 1;
