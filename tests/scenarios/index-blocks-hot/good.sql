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
-- no index on the updated column: full pages are the reason
create table full_pages (id int primary key, state int, n int, pad text);
insert into full_pages select g, g, 0, repeat('x', 200) from generate_series(1, 5000) g;
create index full_pages_state on full_pages (state);
analyze full_pages;
update full_pages set n = n + 1;
select pg_sleep(0.7);
select 1;
