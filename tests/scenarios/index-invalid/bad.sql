-- expect: public.broken
-- expect: public.broken_ccnew
-- remedy: keeps: the duplicates that made the build fail are still there
create table t (a int);
insert into t values (1), (1);
\set ON_ERROR_STOP off
create unique index concurrently broken on t (a);
create unique index concurrently broken_ccnew on t (a);
\set ON_ERROR_STOP on
