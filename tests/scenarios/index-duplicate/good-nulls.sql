-- pg: >= 15
create table t (a int);
create unique index on t (a);
create unique index on t (a) nulls not distinct;
