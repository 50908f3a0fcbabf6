-- expect: public.short
-- expect: public.short_down
-- expect: public.alone
-- expect: public.Se q
-- expect: public.wide_id_seq
-- expect: public.steps
create sequence short maxvalue 1000;
create table t (id bigint default nextval('short'));
select setval('short', 995);
create sequence short_down increment -1 minvalue -1000;
select setval('short_down', -950);
create sequence alone as integer;
select setval('alone', 2000000000);
create sequence "Se q" as smallint;
select setval('"Se q"', 32000);
create table wide (id bigint generated always as identity (maxvalue 100000));
select setval('wide_id_seq', 90000);
create sequence steps increment 1000 maxvalue 1000000;
select setval('steps', 999000);
