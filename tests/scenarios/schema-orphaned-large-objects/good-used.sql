-- As many rows as large objects: nothing is proven either way.
-- unknown: whether rows refer to each of them was not looked at
-- unknown: vacuumlo -n -v
create domain picture as oid;
create domain face as picture;
create table person (id bigint primary key, portrait face);
insert into person select g, lo_from_bytea(0, decode(repeat(md5(g::text), 1500), 'hex')) from generate_series(1, 1500) g;
vacuum analyze;
