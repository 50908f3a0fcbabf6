-- expect: public.event_at
create table event (id bigint generated always as identity primary key, at timestamptz, kind int, pad text);
insert into event (at, kind, pad)
    select timestamptz '2024-01-01' + g * interval '1 second', ((g::bigint * 7919) % 1000)::int, repeat('x', 60) from generate_series(1, 300000) g;
create index event_at on event (at);
create index event_kind on event (kind);
vacuum analyze event;
select count(*) from event where at between '2024-01-02' and '2024-01-03';
select pg_sleep(0.7);
select 1;
