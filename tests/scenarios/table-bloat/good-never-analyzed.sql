-- unknown: no statistics on its columns
create table unseen (id int, t text) with (autovacuum_enabled = off);
insert into unseen select g, repeat('x', 300) from generate_series(1, 30000) g;
delete from unseen where id % 2 = 0;
vacuum unseen;
