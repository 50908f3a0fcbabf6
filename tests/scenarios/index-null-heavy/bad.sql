-- expect: public.t_deleted_at
-- expect: public.t_desc
-- expect: public.p_done
-- expect: public.Idx "n
create table t (id int primary key, deleted_at timestamptz, d int, "Co l" int);
insert into t select g, case when g % 10 = 0 then now() end, case when g % 3 = 0 then g end,
    case when g % 100 = 0 then g end from generate_series(1, 60000) g;
create index t_deleted_at on t (deleted_at);
create index t_desc on t (d desc nulls last) with (fillfactor = 80);
create index "Idx ""n" on t ("Co l");
create table p (id int, at date, done int) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create table p_two partition of p for values from ('2021-01-01') to ('2022-01-01');
insert into p select g, date '2020-01-01' + g % 700, case when g % 10 = 0 then g end from generate_series(1, 60000) g;
create index p_done on p (done);
analyze;
