"""A log that only grows, with a column that a later step sets: BRIN where it holds, and where it does not."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="log_archive",
    about="an append-only log with periods of an hour to a day, requests by identifier, arrays of tags, and rows not yet exported",
    schema="""
create table log (
    id bigint primary key, at timestamptz not null, level text not null, request_id uuid not null, host text not null,
    tags text[] not null, exported_at timestamptz, message text not null
);
""",
    load="""
select setseed(0.55);
insert into log
select g, timestamptz '2025-01-01' + g * interval '10 seconds' + random() * interval '20 seconds',
    case when random() < 0.9 then 'info' when random() < 0.95 then 'warn' else 'error' end, md5((g / 4)::text)::uuid,
    'web-' || (random() * 30)::int,
    case when random() < 0.7 then array['http'] when random() < 0.9 then array['http', 'slow'] else array['job', 'k' || (random() * 900)::int] end,
    case when g < 398000 then timestamptz '2025-01-01' + g * interval '10 seconds' + (1 + random() * 600) * interval '1 minute' end,
    repeat('message ', 12)
from generate_series(1, 400000) g;
""",
    statements=(
        Called(
            "hour",
            "select count(*), max(message) from log where at >= {a} and at < {b}",
            (
                {"a": "2025-01-20 10:00+00", "b": "2025-01-20 11:00+00"},
                {"a": "2025-02-01 00:00+00", "b": "2025-02-02 00:00+00"},
            ),
            5,
        ),
        Called(
            "request",
            "select * from log where request_id = {request} order by at",
            (
                {"request": "e4da3b7f-bbce-2345-d777-2b0674a318d5"},
                {"request": "1679091c-5a88-0faf-6fb5-e6087eb1b2dc"},
            ),
            10,
        ),
        Called(
            "errors",
            "select at, host, message from log where level = 'error' order by at desc limit {n}",
            ({"n": 20}, {"n": 100}),
            5,
        ),
        Called(
            "tagged",
            "select id, at from log where tags && ARRAY[{tag}] order by at desc limit 50",
            ({"tag": "k17"}, {"tag": "k800"}),
            4,
        ),
        Called(
            "export",
            "select id, message from log where exported_at is null order by id limit 500",
            calls=5,
        ),
        Called(
            "exported",
            "update log set exported_at = {at} where id between {low} and {high} and exported_at is null",
            ({"at": "2025-03-01", "low": 398500, "high": 398520},),
            5,
        ),
    ),
    expert=(
        "create index on log (at)",
        "create index on log (request_id)",
        "create index on log (at) where level = 'error'",
        "create index on log using gin (tags)",
        "create index on log (id) where exported_at is null",
    ),
)
