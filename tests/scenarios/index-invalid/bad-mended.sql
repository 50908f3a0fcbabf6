-- expect: public.Broken "idx
create table "T" (a int);
insert into "T" values (1), (1);
\set ON_ERROR_STOP off
create unique index concurrently "Broken ""idx" on "T" (a);
\set ON_ERROR_STOP on
delete from "T";
