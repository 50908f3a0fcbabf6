-- pg: < 19
-- expect: public.sure_room_id_fkey
-- The planner does not infer a predicate from a NOT NULL declaration: EXPLAIN shows a scan of the whole table.
create table room (id int primary key);
insert into room select generate_series(1, 20000);
create table sure (room_id int not null references room, note text not null);
insert into sure select g, 'x' from generate_series(1, 20000) g;
create index on sure (room_id) where note is not null and room_id is not null;
analyze;
