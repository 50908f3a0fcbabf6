-- expect: pg_catalog.pg_c_utf8
-- pg: >= 17
create table t (a text collate pg_c_utf8 primary key, b text collate pg_c_utf8, c int, d text);
insert into t select g::text, g::text, g, g::text from generate_series(1, 1000) g;
create index t_b on t (b);
create index t_hash on t using hash (b);
create index t_c on t (c);
create index t_d on t (d);
create index t_expr on t (lower(b));
set allow_system_table_mods = on;
update pg_collation set collversion = '0' where collname = 'pg_c_utf8';
