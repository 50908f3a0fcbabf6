create table target (id int primary key);
create table t (a int not null, b int check (b > 0), c int references target);
alter table t add constraint t_check check (a > 0) not valid;
alter table t validate constraint t_check;
create domain d as int;
alter domain d add constraint d_check check (value > 0) not valid;
alter domain d validate constraint d_check;
