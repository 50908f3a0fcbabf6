-- Rows refer to several objects each: the number of rows bounds nothing, and vacuumlo does not look at arrays.
-- unknown: public.album.pictures may hold arrays of their numbers
create table album (id bigint primary key, cover oid, pictures oid[]);
insert into album select g, null, array(select lo_from_bytea(0, decode(repeat(md5((g * 100 + n)::text), 1500), 'hex')) from generate_series(1, 15) n)
from generate_series(1, 100) g;
vacuum analyze;
