-- The numbers are kept in text, as Hibernate does for @Lob strings: vacuumlo would remove all of them.
-- unknown: no column has type oid or lo
-- unknown: do not run vacuumlo
create table note (id bigint primary key, body text);
insert into note select g, lo_from_bytea(0, decode(repeat(md5(g::text), 3000), 'hex'))::text from generate_series(1, 1500) g;
vacuum analyze;
