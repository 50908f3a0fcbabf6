-- unknown: dropped columns
create table slim (id int, t text);
insert into slim select g, repeat('x', 300) from generate_series(1, 30000) g;
alter table slim drop t;
vacuum analyze slim;
