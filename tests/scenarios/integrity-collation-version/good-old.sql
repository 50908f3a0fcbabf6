-- pg: < 15
-- unknown: comes with PostgreSQL 15
create table t (a text primary key);
