-- pg: < 15
-- unknown: PostgreSQL 15 or later
create table t (a text primary key);
