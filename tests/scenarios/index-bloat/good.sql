create table t (id int primary key, i8 bigint, txt text, few int, cat text, nul int, two_a int, two_b int, num numeric, u uuid,
    ts timestamptz, wide text, doc jsonb);
insert into t select g, g, 'key-' || md5(g::text), g % 100, 'category-name-' || g % 50, case when g % 10 = 0 then g end,
    g % 1000, g, g * 1.5, md5(g::text)::uuid, now() + g * interval '1 s', repeat('w', 200) || g % 1000,
    jsonb_build_object('n', g) from generate_series(1, 100000) g;
create index on t (i8);
create index on t (txt);
create index on t (few);
create index on t (cat);
create index on t (nul);
create index on t (two_a, two_b);
create index on t (few, cat);
create index on t (num);
create index on t (u);
create index on t (ts);
create index on t (wide);
create index on t (doc);
create index on t (i8) with (fillfactor = 40);
create index on t (few) with (fillfactor = 30);
create index on t (i8) where few = 3;
create index on t (lower(txt));
create index on t ((id || txt));
create index on t (few, txt) include (wide);
-- keys inserted in random order
create table r (id int, u uuid, few int, txt text);
create index on r (id);
create index on r (u);
create index on r (few);
create index on r (txt);
insert into r select (g * 7919::bigint % 200003)::int, md5(g::text)::uuid, g % 100, md5(g::text) from generate_series(1, 100000) g;
-- wide values and long tails
create table w (id int, txt text);
create index on w (txt);
insert into w select g, repeat('x', (g % 40) * 5) || g from generate_series(1, 50000) g;
create table skewed (id int, v int, nn int);
create index on skewed (v);
create index on skewed (nn);
insert into skewed select g, (power(random(), 6) * 100000)::int, case when g % 3 = 0 then g % 50 end from generate_series(1, 200000) g;
select pg_sleep(1.1);
select 1;
vacuum analyze;
select pg_sleep(0.7);
select 1;
