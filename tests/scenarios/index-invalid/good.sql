create table t (id int primary key, a int);
create index on t (a);
create table p (id int, at date, primary key (id, at)) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create index on p (id);
create table empty_parent (id int) partition by range (id);
create index on only empty_parent (id);
-- created with ON ONLY: the normal state before partitions are attached
create index on only p (at);
