-- expect: public.pages
create table sources (id int primary key, doc text) with (autovacuum_enabled = off);
alter table sources alter doc set storage external;
insert into sources select g, repeat('x', 8000) from generate_series(1, 1000) g;
create materialized view pages with (autovacuum_enabled = off) as select * from sources with no data;
alter materialized view pages alter doc set storage external;
refresh materialized view pages;
create unique index on pages (id);
delete from sources where id % 3 > 0;
refresh materialized view concurrently pages;
vacuum full sources;
vacuum analyze;
