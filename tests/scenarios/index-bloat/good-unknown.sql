-- unknown: never analyzed
create table t (id int, u uuid) with (autovacuum_enabled = off);
insert into t select g, md5(g::text)::uuid from generate_series(1, 100000) g;
create index on t (u);
update pg_class set reltuples = -1 where oid = 't'::regclass;
