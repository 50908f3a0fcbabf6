-- unknown: contradict each other for 2 tables
create table nightly (id bigint primary key, at date not null, pad text) with (autovacuum_enabled = off);
insert into nightly select g, current_date - (g % 100)::int, repeat('p', 80) from generate_series(1, 50000) g;
create table few (id bigint primary key, at date not null, pad text) with (autovacuum_enabled = off);
insert into few select g, current_date - (g % 100)::int, repeat('p', 80) from generate_series(1, 50000) g;
vacuum analyze nightly, few;
\c
-- this session reports its deletes after its own VACUUM has removed the rows
delete from nightly where at < current_date - 20;
delete from few where at < current_date - 70;
vacuum analyze nightly, few;
