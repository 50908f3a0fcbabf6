from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="room_bookings",
    about=(
        "Availability by overlap of ranges built in the query, tstzrange(starts_at, ends_at) && …, and by two"
        " inequalities (after tilo/validates_overlap issue 15 and govuk-paas/paas-billing issue 72)."
    ),
    schema="""
CREATE TABLE bookings (
  id bigserial PRIMARY KEY,
  room_id integer NOT NULL,
  guest_id integer NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  status text NOT NULL,
  note text
);
CREATE INDEX bookings_room_id ON bookings (room_id);
""",
    load="""
SELECT setseed(0.22);
INSERT INTO bookings (room_id, guest_id, starts_at, ends_at, status, note)
SELECT 1 + floor(power(random(), 2) * 120)::int, (random() * 50000)::int, s.t,
       s.t + CASE WHEN random() < 0.002 THEN interval '60 days' ELSE (1 + random() * 30) * interval '1 hour' END,
       CASE WHEN random() < 0.85 THEN 'confirmed' WHEN random() < 0.8 THEN 'cancelled' ELSE 'pending' END,
       repeat(md5(g::text), 3)
FROM (SELECT g, timestamptz '2019-01-01 00:00+00' + power(random(), 0.6) * interval '2300 days' AS t
      FROM generate_series(1, 200000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "occupied",
            "SELECT id, room_id, guest_id FROM bookings WHERE tstzrange(starts_at, ends_at) && tstzrange({f}, {t})"
            " AND status <> 'cancelled'",
            (
                {"f": "2025-04-18 12:00+00", "t": "2025-04-18 14:00+00"},
                {"f": "2020-02-03 00:00+00", "t": "2020-02-04 00:00+00"},
                {"f": "2024-10-01 08:00+00", "t": "2024-10-01 09:00+00"},
            ),
            100,
        ),
        Called(
            "conflict",
            "SELECT 1 AS one FROM bookings WHERE bookings.ends_at > {f} AND bookings.starts_at < {t}"
            " AND bookings.room_id = {r} AND status = 'confirmed' LIMIT 1",
            (
                {"r": 1, "f": "2025-04-18 11:00+00", "t": "2025-04-18 16:00+00"},
                {"r": 100, "f": "2026-04-18 11:00+00", "t": "2026-04-18 16:00+00"},
                {"r": 7, "f": "2026-01-01 00:00+00", "t": "2026-01-02 00:00+00"},
            ),
            300,
        ),
        Called(
            "at_moment",
            "SELECT count(*) FROM bookings WHERE tstzrange(starts_at, ends_at) @> {m}::timestamptz",
            ({"m": "2025-01-15 12:00+00"}, {"m": "2019-03-01 12:00+00"}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON bookings USING gist (tstzrange(starts_at, ends_at))",
        "CREATE INDEX ON bookings (room_id, ends_at) WHERE status = 'confirmed'",
    ),
)
