-- expect: public.Half
-- expect: public.emptied
-- expect: public.half_full_on_purpose
-- expect: public.rewritten
-- remedy: keeps: VACUUM makes the space available for reuse, only a rewrite returns it
create table "Half" (id int, t text) with (autovacuum_enabled = off);
insert into "Half" select g, md5(g::text) from generate_series(1, 60000) g;
delete from "Half" where id % 2 = 0;
create table emptied (id int, t text) with (autovacuum_enabled = off);
insert into emptied select g, md5(g::text) from generate_series(1, 60000) g;
delete from emptied where id < 59990;
create table rewritten (id int, t text) with (autovacuum_enabled = off);
insert into rewritten select g, md5(g::text) from generate_series(1, 30000) g;
update rewritten set t = md5(t);
update rewritten set t = md5(t);
-- fillfactor leaves half of each page free, deletes half of the rest
create table half_full_on_purpose (id int, t text) with (autovacuum_enabled = off, fillfactor = 50);
insert into half_full_on_purpose select g, md5(g::text) from generate_series(1, 60000) g;
delete from half_full_on_purpose where id % 2 = 0;
vacuum analyze;
