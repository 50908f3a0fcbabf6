-- expect: public.p_id_idx
create table p (id int, at date) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01');
create table p_two partition of p for values from ('2021-01-01') to ('2022-01-01');
create index p_id_idx on only p (id);
create index p_one_id_idx on p_one (id);
