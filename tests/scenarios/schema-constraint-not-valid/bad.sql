-- expect: public.t_check
-- expect: public.t_fkey
-- expect: public.parent_check
-- expect: public.Ch "eck
create table target (id int primary key);
create table t (a int, b int);
alter table t add constraint t_check check (a > 0) not valid;
alter table t add constraint t_fkey foreign key (b) references target not valid;
create table parent (a int);
create table kid () inherits (parent);
alter table parent add constraint parent_check check (a > 0) not valid;
create table "T" (a int);
alter table "T" add constraint "Ch ""eck" check (a > 0) not valid;
