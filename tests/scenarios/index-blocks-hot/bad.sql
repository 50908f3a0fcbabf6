-- expect: public.t_state
-- expect: public.t_partial
-- expect: public.t_include
-- expect: public.t_expr
-- expect: public.p_seen
-- remedy: keeps: counters are not reset when an index is dropped
create table t (id int primary key, state int, touched int, note text, x int, never int) with (fillfactor = 30);
insert into t select g, g % 5, 0, 'x', g, g from generate_series(1, 3000) g;
create index t_state on t (state);
create index t_partial on t (x) where touched = 0;
create index t_include on t (x) include (note);
create index t_expr on t ((touched + x));
create index t_never on t (never);
create index t_brin on t (never);
create table p (id int, at date, seen int) partition by range (at);
create table p_one (seen int, at date, id int) with (fillfactor = 30);
alter table p attach partition p_one for values from ('2020-01-01') to ('2021-01-01');
insert into p select g, '2020-03-03', 0 from generate_series(1, 2000) g;
create index p_seen on p (seen);
analyze;
update t set state = state + 1, note = 'y';
update only public.t set touched = touched + 1 where id > 0;
with changed as (update t set touched = touched + 1 returning id) select count(*) from changed;
update p set seen = seen + 1;
update p as q set seen = q.seen + 1 where q.id > 0;
select pg_sleep(0.7);
select 1;
