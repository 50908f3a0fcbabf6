create table t (id int primary key, a int, b int, c int unique, d int, e int, f int, g int, h int, few int);
insert into t select i, case when i % 10 = 0 then i end, case when i % 10 = 0 then i end,
    case when i % 10 = 0 then i end, case when i % 10 > 0 then i end, case when i % 10 = 0 then i end,
    case when i % 10 = 0 then i end, case when i % 10 = 0 then i end, case when i % 10 = 0 then i end,
    case when i % 10 = 0 then i end
    from generate_series(1, 60000) i;
create index on t (a) where a is not null;
create index on t (b, id);
create index on t (d);
create index on t (e);
create index on t (f);
create index on t (g);
create index on t (h) include (id);
create index on t using hash (few);
-- a column of the same name elsewhere is mostly NULL
create table other (d int, e int not null);
insert into other select null, 1 from generate_series(1, 60000);
create index on other (e);
create table small (a int);
insert into small select null from generate_series(1, 1000);
create index on small (a);
analyze;
select count(*) from t where e is null;
select * from t order by f limit 1;
select max(g) from t;
