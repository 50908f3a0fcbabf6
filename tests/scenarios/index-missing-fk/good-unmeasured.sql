-- unknown: child_pid has some of its columns
-- unknown: ANALYZE public.child
create table parent (tenant int, id int, primary key (tenant, id));
insert into parent select g % 5, g from generate_series(1, 5000) g;
create table child (cid int, tenant int, pid int, foreign key (tenant, pid) references parent)
    with (autovacuum_enabled = off);
insert into child select g, (g % 5000 + 1) % 5, g % 5000 + 1 from generate_series(1, 50000) g;
create index child_pid on child (pid);
