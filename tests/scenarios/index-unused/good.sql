create table t (id int primary key, a int, b int not null unique, c int, r int, exclude using gist (int4range(a, a + 1) with &&));
insert into t select g, g, g, g, g from generate_series(1, 20000) g;
alter table t replica identity using index t_b_key;
create unique index on t (c);
-- only the foreign key needs it, and rows of its parent are deleted
create table parent (id int primary key, x int);
create table child (id int primary key, parent_id int references parent on delete cascade);
insert into parent select g, g from generate_series(1, 20000) g;
insert into child select g, g from generate_series(1, 20000) g;
create index child_parent on child (parent_id);
analyze;
delete from parent where id = 5;
-- one partition in use keeps all
create table p (id int, at date) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create table p_two partition of p for values from ('2021-01-01') to ('2022-01-01');
insert into p select g, date '2020-01-01' + g % 700 from generate_series(1, 20000) g;
create index on p (id);
analyze p;
set enable_seqscan = off;
select count(*) from p_one where id = 5;
-- too small to matter
create table tiny (a int);
insert into tiny select generate_series(1, 100);
create index on tiny (a);
-- reported by index-duplicate: a duplicate of a used one
select pg_sleep(0.7);
select 1;
