-- expect: public.t_check
-- remedy: keeps: 18 cannot change a check constraint to ENFORCED
-- pg: >= 18
create table t (a int);
alter table t add constraint t_check check (a > 0) not enforced;
