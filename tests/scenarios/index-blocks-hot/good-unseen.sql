-- unknown: not among the visible statements
create table t (id int primary key, state int) with (fillfactor = 30);
insert into t select g, g from generate_series(1, 3000) g;
create index t_state on t (state);
analyze t;
do $$ begin update t set state = state + 1; update t set state = state + 1; end $$;
select pg_sleep(0.7);
select 1;
