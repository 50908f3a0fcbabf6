-- pg: >= 18
create extension btree_gist;
create table price (id int, valid daterange, primary key (id, valid without overlaps));
insert into price select g, daterange('2020-01-01', '2021-01-01') from generate_series(1, 20000) g;
create table sale (id int, valid daterange, foreign key (id, period valid) references price (id, period valid));
insert into sale select g, daterange('2020-02-01', '2020-03-01') from generate_series(1, 20000) g;
create index on sale (id);
-- not enforced: nothing is checked
create table loose (id int, valid daterange, n int);
create table n (id int primary key);
insert into n values (1);
alter table loose add foreign key (n) references n not enforced;
insert into loose (n) select 1 from generate_series(1, 20000);
analyze;
