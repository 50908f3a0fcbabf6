-- An index on the selective column serves the check: EXPLAIN shows it.
create table parent (tenant int, id int, primary key (tenant, id));
insert into parent select g % 5, g from generate_series(1, 5000) g;
create table child (cid int primary key, tenant int, pid int, foreign key (tenant, pid) references parent);
insert into child select g, (g % 5000 + 1) % 5, g % 5000 + 1 from generate_series(1, 50000) g;
create index child_pid on child (pid);
create table more (cid int, tenant int, pid int not null, at date, foreign key (tenant, pid) references parent)
    partition by range (at);
create table more_1 (pid int not null, at date, tenant int, cid int);
alter table more attach partition more_1 for values from ('2020-01-01') to ('2021-01-01');
create table more_2 partition of more for values from ('2021-01-01') to ('2022-01-01');
insert into more select g, (g % 5000 + 1) % 5, g % 5000 + 1, date '2020-01-01' + g % 700 from generate_series(1, 20000) g;
create index on more (pid, at) where pid is not null;
analyze;
delete from parent where id > 10000;
