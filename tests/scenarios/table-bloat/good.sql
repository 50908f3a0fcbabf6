-- padding
create table aligned (a int, b int8, c int) with (autovacuum_enabled = off);
insert into aligned select g, g, g from generate_series(1, 60000) g;
create table aligned_worse (a bool, b timestamptz, c smallint, d int8, e bool) with (autovacuum_enabled = off);
insert into aligned_worse select true, now(), 1, g, false from generate_series(1, 60000) g;
create table one_byte (a bool);
insert into one_byte select true from generate_series(1, 150000);
-- free space on purpose
create table roomy (a int, t text) with (fillfactor = 40);
insert into roomy select g, md5(g::text) from generate_series(1, 30000) g;
-- many NULLs
create table sparse (a int, b text, c int8, d text, e int, f int8, g text, h text, i int8, j text);
insert into sparse (a, b, i) select g, case when g % 5 = 0 then md5(g::text) end, g from generate_series(1, 60000) g;
-- values in TOAST, compressed values, long values in the page
create table toasted (id int, t text);
alter table toasted alter t set storage external;
insert into toasted select g, repeat('x', 4000) from generate_series(1, 30000) g;
create table compressed (id int, t text);
insert into compressed select g, repeat('abc', 2000) from generate_series(1, 20000) g;
create table long (id int, t text);
insert into long select g, string_agg(md5((g * i)::text), '') from generate_series(1, 3000) g, generate_series(1, 50) i group by g;
-- columns that were added later are not in the old rows
create table grown (a int);
insert into grown select generate_series(1, 60000);
alter table grown add b int8 default 5, add c text default 'hello';
create table types (a name, b char(10), c inet, d interval, e int[], f numeric, g jsonb, h date, i uuid);
insert into types
select 'n' || g, 'abc', '10.0.0.1', '1 day', array[1, g], g * 1.5, jsonb_build_object('k', g), now(), md5(g::text)::uuid
from generate_series(1, 20000) g;
-- half of the rows dead: vacuum-dead-tuples
create table dead (id int, t text) with (autovacuum_enabled = off);
insert into dead select g, md5(g::text) from generate_series(1, 60000) g;
vacuum analyze;
delete from dead where id % 2 = 0;
select pg_sleep(1.1);
analyze dead;
