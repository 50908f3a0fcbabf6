create table event (id bigint generated always as identity primary key, at timestamptz, looked_up int, sorted int, twice int, pad text);
insert into event (at, looked_up, sorted, twice, pad)
    select timestamptz '2024-01-01' + g * interval '1 second', g, g, g, repeat('x', 60) from generate_series(1, 300000) g;
create index on event (looked_up);
create index on event (sorted);
create index on event (twice);
create index on event using brin (twice);
create index on event (at, looked_up);
create table changed (id int primary key, at int, pad text);
insert into changed select g, g, repeat('x', 100) from generate_series(1, 300000) g;
create index on changed (at);
vacuum analyze;
update changed set pad = 'y' where id % 20 = 0;
select * from event where looked_up = 5;
select * from event where looked_up = 7;
select * from event order by sorted desc limit 5;
select pg_sleep(0.7);
select 1;
