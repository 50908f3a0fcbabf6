-- expect: public.Changed
-- expect: public.by_its_own_trigger
create table "Changed" (id int primary key, n int) with (autovacuum_enabled = off);
insert into "Changed" select g, g from generate_series(1, 20000) g;
analyze "Changed";
update "Changed" set n = 0 where id % 3 = 0;
-- 2% changed, but its own trigger is 1%
create table by_its_own_trigger (id int, n int)
with (autovacuum_enabled = off, autovacuum_analyze_scale_factor = 0.01, autovacuum_analyze_threshold = 0);
insert into by_its_own_trigger select g, g from generate_series(1, 100000) g;
analyze by_its_own_trigger;
insert into by_its_own_trigger select g, g from generate_series(1, 2000) g;
