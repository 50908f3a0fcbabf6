-- A few large objects, some of them orphaned: not worth the effort.
create table doc (id bigint primary key, content oid);
insert into doc select g, lo_from_bytea(0, '\x1234') from generate_series(1, 300) g;
delete from doc where id > 100;
vacuum analyze;
