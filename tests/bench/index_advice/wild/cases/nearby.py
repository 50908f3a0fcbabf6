"""Places near a point, addresses in ranges of networks, and bookings that overlap."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="nearby",
    about="KNN by GiST with a limit, points in a box, the network of an address, and periods made of two columns",
    schema="""
create table places (id int primary key, kind text not null, name text not null, loc point not null);
create table networks (id int primary key, net inet not null, country text not null, asn int not null);
create table shifts (
    id int primary key, employee_id int not null, starts_at timestamptz not null, ends_at timestamptz not null, note text not null
);
""",
    load="""
select setseed(0.9);
insert into places
select g, (array['shop', 'shop', 'shop', 'cafe', 'cafe', 'hospital'])[1 + (random() * random() * 5)::int], 'place ' || g,
    point(c.x + (random() - 0.5) * (random() - 0.5) * 2, c.y + (random() - 0.5) * (random() - 0.5) * 2)
from generate_series(1, 200000) g
join (select k, 6 + random() * 9 as x, 47 + random() * 8 as y from generate_series(0, 60) k) c on c.k = (g * g::bigint) % 61;
insert into networks
select g, ('10.' || g / 512 % 256 || '.' || g / 2 % 256 || '.' || g % 2 * 128 || '/' || (array[25, 25, 26, 28])[1 + (random() * 3)::int])::inet,
    (array['DE', 'FR', 'US'])[1 + (random() * 2)::int], (power(random(), 2) * 5000)::int
from generate_series(1, 120000) g;
insert into shifts
select g, 1 + (power(random(), 2) * 3000)::int, timestamptz '2023-01-01' + g * interval '4 minutes',
    timestamptz '2023-01-01' + g * interval '4 minutes' + (1 + random() * 9) * interval '1 hour', repeat('n', 40)
from generate_series(1, 250000) g;
""",
    statements=(
        Called(
            "nearest",
            "select id, name from places order by loc <-> {here} limit 10",
            ({"here": "(10.5,51.3)"}, {"here": "(7.1,48.9)"}, {"here": "(13.4,52.5)"}),
            6,
        ),
        Called(
            "in_view",
            "select id, name, loc from places where loc <@ {view}::box",
            ({"view": "(10.6,51.4),(10.5,51.3)"}, {"view": "(7.5,49.2),(7.4,49.1)"}),
            6,
        ),
        Called(
            "network",
            "select net, country, asn from networks where net >>= {address}::inet order by masklen(net) desc limit 1",
            ({"address": "10.17.5.20"}, {"address": "10.200.77.130"}),
            8,
        ),
        Called(
            "overlapping",
            "select id, employee_id from shifts where tstzrange(starts_at, ends_at) && tstzrange({a}, {b})",
            (
                {"a": "2024-03-01 10:00+00", "b": "2024-03-01 10:30+00"},
                {"a": "2023-05-05 00:00+00", "b": "2023-05-05 04:00+00"},
            ),
            5,
        ),
        Called(
            "clash",
            "select 1 from shifts where employee_id = {who} and tstzrange(starts_at, ends_at) && tstzrange({a}, {b}) limit 1",
            (
                {"who": 1, "a": "2024-03-01 10:00+00", "b": "2024-03-01 18:00+00"},
                {"who": 2500, "a": "2023-06-01 08:00+00", "b": "2023-06-01 16:00+00"},
            ),
            8,
        ),
    ),
    expert=(
        "create index on places using gist (loc)",
        "create index on networks using gist (net inet_ops)",
        "create index on shifts using gist (tstzrange(starts_at, ends_at))",
        "create index on shifts (employee_id)",
    ),
)
