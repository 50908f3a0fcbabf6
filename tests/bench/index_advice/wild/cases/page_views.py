"""Counters of pages that each view raises: an index on them would make every update dearer."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="page_views",
    about="upserts and counters that are HOT updates, a hit list by counter that is asked rarely, and a lookup by path",
    schema="""
create table pages (
    id int primary key, site_id int not null, path text not null, views bigint not null, last_viewed_at timestamptz not null,
    title text not null
) with (fillfactor = 80);
create table daily (
    page_id int not null, day date not null, views int not null, primary key (page_id, day)
) with (fillfactor = 80);
""",
    load="""
select setseed(0.25);
insert into pages
select g, 1 + (power(random(), 2) * 300)::int, '/p/' || md5(g::text), (1000000 * power(random(), 8))::bigint,
    timestamptz '2025-05-01' - random() * interval '300 days', repeat('title ', 12) || g
from generate_series(1, 150000) g;
insert into daily
select 1 + p * 37 % 150000, date '2025-01-01' + d, 1 + (random() * 20)::int
from generate_series(1, 3000) p, generate_series(0, 99) d;
""",
    statements=(
        Called(
            "view",
            "update pages set views = views + 1, last_viewed_at = now() where id = {id}",
            tuple({"id": i} for i in (7, 4711, 99999, 123456)),
            100,
        ),
        Called(
            "count",
            "insert into daily (page_id, day, views) values ({id}, {day}, 1)"
            " on conflict (page_id, day) do update set views = daily.views + excluded.views",
            ({"id": 38, "day": "2025-04-10"}, {"id": 75, "day": "2025-05-01"}),
            100,
        ),
        Called(
            "lookup",
            "select id, title from pages where site_id = {site} and path = {path}",
            (
                {"site": 1, "path": "/p/c4ca4238a0b923820dcc509a6f75849b"},
                {"site": 150, "path": "/p/none"},
            ),
            30,
        ),
        Called(
            "top",
            "select id, path, views from pages where site_id = {site} order by views desc limit 10",
            ({"site": 1}, {"site": 290}),
            2,
        ),
        Called(
            "of_day",
            "select sum(views) from daily where day = {day}",
            ({"day": "2025-02-01"}, {"day": "2025-03-15"}),
            2,
        ),
        Called(
            "stale",
            "select count(*) from pages where last_viewed_at < {limit}",
            ({"limit": "2024-07-20"},),
            1,
        ),
    ),
    expert=(
        "create index on pages (site_id, path)",
        "create index on daily (day) include (views)",
    ),
)
