create table p (id int, at date, primary key (id, at)) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create index on p (id);
create index by_hand on only p (at);
create index p_one_at on p_one (at);
alter index by_hand attach partition p_one_at;
-- no partition that could lack it
create table empty_parent (id int) partition by range (id);
create index on only empty_parent (id);
-- an invalid index of an ordinary table: index-invalid
create table t (a int);
insert into t values (1), (1);
\set ON_ERROR_STOP off
create unique index concurrently t_broken on t (a);
\set ON_ERROR_STOP on
-- without ONLY, PostgreSQL passes foreign tables over
create foreign data wrapper none;
create server far foreign data wrapper none;
create table f (id int, k int) partition by range (id);
create table f_1 partition of f for values from (0) to (9);
create foreign table f_far partition of f default server far;
create index f_k_idx on f (k);
