"""Measurements in partitions by month: of a device, of a period, and rolled up by hour and day."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="measurements",
    about="a time series in monthly partitions: a device's last hours, rollups with date_trunc, gaps found by a window",
    schema="""
create table readings (device_id int not null, at timestamptz not null, kind text not null, value float8 not null, flags int)
    partition by range (at);
create table readings_2025_01 partition of readings for values from ('2025-01-01') to ('2025-02-01');
create table readings_2025_02 partition of readings for values from ('2025-02-01') to ('2025-03-01');
create table readings_2025_03 partition of readings for values from ('2025-03-01') to ('2025-04-01');
create table readings_2025_04 partition of readings for values from ('2025-04-01') to ('2025-05-01');
create table devices (id int primary key, site_id int not null, serial text not null);
""",
    settings={"timezone": "UTC"},
    load="""
select setseed(0.15);
insert into devices select g, 1 + (power(random(), 2) * 60)::int, 'SN' || md5(g::text) from generate_series(1, 1500) g;
insert into readings
select 1 + (power(random(), 1.5) * 1499)::int, timestamptz '2025-01-01' + g * interval '12 seconds',
    (array['temp', 'temp', 'hum', 'volt'])[1 + (random() * 3)::int], random() * 100, case when random() < 0.001 then 4 end
from generate_series(1, 800000) g;
""",
    statements=(
        Called(
            "last_hours",
            "select at, value from readings where device_id = {device} and kind = 'temp' and at >= {since} order by at",
            (
                {"device": 3, "since": "2025-04-20"},
                {"device": 700, "since": "2025-04-15"},
                {"device": 1400, "since": "2025-03-25"},
            ),
            10,
        ),
        Called(
            "hourly",
            "select date_trunc('hour', at) as hour, avg(value), max(value) from readings where device_id = {device}"
            " and at >= {a} and at < {b} group by date_trunc('hour', at) order by 1",
            (
                {"device": 12, "a": "2025-02-03", "b": "2025-02-10"},
                {"device": 900, "a": "2025-03-01", "b": "2025-03-31"},
            ),
            5,
        ),
        Called(
            "site",
            "select d.serial, r.at, r.value from devices d cross join lateral (select at, value from readings"
            " where device_id = d.id and kind = {kind} order by at desc limit 1) r where d.site_id = {site}",
            ({"kind": "volt", "site": 20}, {"kind": "hum", "site": 50}),
            3,
        ),
        Called(
            "flagged",
            "select * from readings where flags is not null and at >= {since} order by at desc limit 50",
            ({"since": "2025-04-01"}, {"since": "2025-02-20"}),
            3,
        ),
        Called(
            "gaps",
            "with r as (select at, lag(at) over (order by at) as earlier from readings where device_id = {device}"
            " and at between {a} and {b}) select * from r where at - earlier > interval '6 hours'",
            ({"device": 1450, "a": "2025-03-01", "b": "2025-03-30"},),
            2,
        ),
        Called(
            "store",
            "insert into readings values ({device}, {at}, 'temp', {value}, null)",
            ({"device": 5, "at": "2025-04-29 12:00", "value": 20.5},),
            10,
        ),
    ),
    expert=(
        "create index on readings (device_id, at)",
        "create index on readings (device_id, kind, at)",
        "create index on readings (at) where flags is not null",
        "create index on devices (site_id)",
    ),
)
