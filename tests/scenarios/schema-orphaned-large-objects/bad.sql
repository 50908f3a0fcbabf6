-- expect: pg_catalog.pg_largeobject
create domain attachment as oid;
create extension if not exists lo;
create table doc (id bigint primary key, name text, content oid);
create table "Mail $$ ""odd""" (id bigint primary key, "At$$tached" attachment);
insert into doc select g, 'd' || g, lo_from_bytea(0, decode(repeat(md5(g::text), 1500), 'hex')) from generate_series(1, 1500) g;
insert into "Mail $$ ""odd""" select g, lo_from_bytea(0, decode(repeat(md5(g::text), 500), 'hex')) from generate_series(1, 300) g;
-- rows deleted without lo_unlink
delete from doc where id > 300;
-- and some as they should be
select count(lo_unlink(content)) from doc where id <= 100;
delete from doc where id <= 100;
vacuum analyze;
