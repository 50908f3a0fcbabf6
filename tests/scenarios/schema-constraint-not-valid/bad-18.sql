-- expect: public.t_filled
-- expect: public.t_fkey
-- pg: >= 18
create table target (id int primary key);
create table t (a int, b int);
alter table t add constraint t_filled not null a not valid;
alter table t add constraint t_fkey foreign key (b) references target not enforced;
