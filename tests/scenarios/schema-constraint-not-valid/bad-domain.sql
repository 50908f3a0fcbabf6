-- expect: public.Is small
-- expect: other.d_check
create schema other;
create domain "Per cent" as int;
create domain other.d as text constraint fine check (value <> '');
create table t (id int primary key, a "Per cent", b other.d);
create table p (id int, a "Per cent") partition by range (id);
create table p_1 partition of p for values from (0) to (100);
insert into t values (1, 50, 'x');
insert into p values (1, 20);
alter domain "Per cent" add constraint "Is small" check (value <= 100) not valid;
alter domain other.d add check (length(value) < 10) not valid;
