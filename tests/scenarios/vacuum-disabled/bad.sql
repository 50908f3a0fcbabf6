-- expect: public.Order
-- expect: public.docs
-- expect: public.part
-- expect: public.staging
-- expect: public.tiny
create table "Order" (id int primary key, filler text) with (autovacuum_enabled = off, fillfactor = 90);
insert into "Order" select g, repeat('x', 100) from generate_series(1, 20000) g;
update "Order" set filler = 'y' where id % 3 = 0;
create table docs (id int primary key, doc text) with (toast.autovacuum_enabled = 'FALSE');
create table tiny (id int) with (autovacuum_enabled = no, toast.autovacuum_enabled = off);
create unlogged table staging (id int, doc text) with (autovacuum_enabled = 0);
insert into staging select g, repeat('x', 100) from generate_series(1, 20000) g;
create table p (id int) partition by range (id);
create table part partition of p for values from (0) to (10) with (autovacuum_enabled = off);
