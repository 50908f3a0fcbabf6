-- expect: public.Remote "v"
-- expect: public.folded
-- limits: {"min_calls": 3}
create extension file_fdw;
create server files foreign data wrapper file_fdw;
create foreign table "Remote ""v""" (line text) server files options (filename 'PG_VERSION');
create foreign table folded (line text) server files options (filename 'PG_VERSION');
create foreign table unread (line text) server files options (filename 'PG_VERSION');
create foreign table analyzed (line text) server files options (filename 'PG_VERSION');
create schema other;
create foreign table other.twice (line text) server files options (filename 'PG_VERSION');
create table public.twice (line text);
analyze analyzed;
select count(*) from "Remote ""v""";
select count(*) from public."Remote ""v""" r where r.line = '1';
select count(*) from "Remote ""v""";
select count(*) from analyzed;
select count(*) from analyzed;
select count(*) from analyzed;
select count(*) from twice;
select count(*) from twice;
select count(*) from twice;
select count(*) from FOLDED;
select count(*) from FOLDED;
select count(*) from Folded;
select 'unread';
