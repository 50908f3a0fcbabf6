-- pg: >= 13
-- expect: public.Log
-- expect: public.off
create table "Log" (id int primary key, line text) with (autovacuum_vacuum_insert_threshold = -1);
insert into "Log" select g, 'x' from generate_series(1, 20000) g;
create table off (id int) with (autovacuum_enabled = off);
insert into off select generate_series(1, 20000);
analyze off;
