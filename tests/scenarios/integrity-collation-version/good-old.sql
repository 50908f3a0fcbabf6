-- pg: < 15
-- unknown: before 15
create table t (a text primary key);
