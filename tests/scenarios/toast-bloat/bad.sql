-- expect: public.Docs
-- expect: public.emptied
-- remedy: keeps: VACUUM makes the space available for reuse, only a rewrite returns it
create table "Docs" (id int primary key, doc text) with (autovacuum_enabled = off);
alter table "Docs" alter doc set storage external;
insert into "Docs" select g, repeat('x', 8000) from generate_series(1, 1000) g;
delete from "Docs" where id % 3 > 0;
create table emptied (id int primary key, doc text) with (autovacuum_enabled = off);
alter table emptied alter doc set storage external;
insert into emptied select g, repeat('x', 8000) from generate_series(1, 1000) g;
delete from emptied where id < 998;
vacuum analyze;
