-- expect: public.Half
-- expect: public.fixed
create table "Half" (id int primary key, n int) with (autovacuum_vacuum_scale_factor = 0.5);
insert into "Half" select g, g from generate_series(1, 50000) g;
analyze "Half";
update "Half" set n = 0 where id % 4 = 0;
create table fixed (id int primary key, n int)
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000000);
insert into fixed select g, g from generate_series(1, 50000) g;
analyze fixed;
delete from fixed where id % 100 = 0;
