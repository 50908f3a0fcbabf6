-- updates are HOT
create table hot (id int primary key, state int, n int) with (fillfactor = 20);
insert into hot select g, g % 5, 0 from generate_series(1, 3000) g;
create index hot_state on hot (state);
analyze hot;
update hot set n = n + 1;
update hot set n = n + 1;
-- setting the same value again does not prevent HOT, although the statement sets an indexed column
update hot set state = state, n = n + 1;
-- few updates
create table few (id int primary key, state int);
insert into few select g, g from generate_series(1, 500) g;
create index few_state on few (state);
update few set state = state + 1;
select pg_sleep(0.7);
select 1;
