-- pg: < 18
-- unknown: data checksums are off
create table t (a text primary key);
insert into t select g::text from generate_series(1, 1000) g;
