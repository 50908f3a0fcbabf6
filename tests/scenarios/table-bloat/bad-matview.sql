-- expect: public.To tals
create table sales (id int primary key, note text) with (autovacuum_enabled = off);
insert into sales select g, md5(g::text) from generate_series(1, 60000) g;
create materialized view "To tals" with (autovacuum_enabled = off) as select * from sales;
create unique index on "To tals" (id);
-- refreshed concurrently, it keeps its size; refreshed, it is written anew
create materialized view fresh with (autovacuum_enabled = off) as select * from sales;
delete from sales where id % 3 > 0;
refresh materialized view concurrently "To tals";
refresh materialized view fresh;
vacuum full sales;
vacuum analyze;
