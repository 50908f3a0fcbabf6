-- expect: public.child_tenant_pid_fkey
-- expect: public.skewed_tenant_pid_fkey
-- expect: public.base_tenant_pid_fkey
create table parent (tenant int, id int, primary key (tenant, id));
insert into parent select g % 5, g from generate_series(1, 5000) g;
-- an index on the column that is not selective
create table child (cid int primary key, tenant int, pid int, foreign key (tenant, pid) references parent);
insert into child select g, (g % 5000 + 1) % 5, g % 5000 + 1 from generate_series(1, 50000) g;
create index child_tenant on child (tenant);
-- selective on average, but one value has most rows
create table skewed (cid int primary key, tenant int, pid int, foreign key (tenant, pid) references parent);
insert into skewed select g, (p % 5), p from generate_series(1, 50000) g, lateral (select case when g % 2 = 0 then 1 else g % 5000 + 1 end as p) x;
create index skewed_pid on skewed (pid);
-- an index of a child by inheritance, which does not have the foreign key
create table base (cid int, tenant int, pid int, foreign key (tenant, pid) references parent);
insert into base select g, (g % 5000 + 1) % 5, g % 5000 + 1 from generate_series(1, 20000) g;
create table heir () inherits (base);
create index heir_pid on heir (pid);
analyze;
delete from parent where id > 10000;
