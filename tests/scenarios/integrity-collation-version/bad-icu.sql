-- expect: pg_catalog.en-x-icu
-- pg: < 17
create table t (a text collate "en-x-icu" primary key, b int);
create index t_b on t (b);
set allow_system_table_mods = on;
update pg_collation set collversion = '0' where collname = 'en-x-icu';
