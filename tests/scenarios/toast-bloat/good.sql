create table full_pieces (id int, doc text);
alter table full_pieces alter doc set storage external;
insert into full_pieces select g, repeat('x', 1996 * 8) from generate_series(1, 500) g;
create table short_last_pieces (id int, doc text);
alter table short_last_pieces alter doc set storage external;
insert into short_last_pieces select g, repeat('x', 2100) from generate_series(1, 3000) g;
create table mixed (id int, doc text);
alter table mixed alter doc set storage external;
insert into mixed select g, repeat('x', 2000 + (g * 37) % 9000) from generate_series(1, 2000) g;
create table no_long_values (id int, doc text);
insert into no_long_values select g, 'x' from generate_series(1, 20000) g;
-- not vacuumed yet: vacuum-dead-tuples
create table dead (id int primary key, doc text) with (autovacuum_enabled = off);
alter table dead alter doc set storage external;
insert into dead select g, repeat('x', 8000) from generate_series(1, 1000) g;
vacuum analyze;
delete from dead where id % 2 = 0;
