-- expect: public.Loaded
-- expect: public.indexed
-- expect: public.mv
create table "Loaded" (id int, doc text);
insert into "Loaded" select g, 'x' from generate_series(1, 5000) g;
-- an index build counts the rows, but collects no statistics
create table indexed (id int, doc text) with (autovacuum_enabled = off);
insert into indexed select g, 'x' from generate_series(1, 5000) g;
create index on indexed (id);
vacuum indexed;
create materialized view mv as select g as id from generate_series(1, 5000) g;
