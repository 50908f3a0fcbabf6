from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="synapse_push",
    about=(
        "Push actions of a chat server beside an index that is nearly right, (highlight, stream_ordering) WHERE highlight = 0 (after"
        " matrix-org/synapse issues 1865 and 14289), receipts, and events of a room in order."
    ),
    schema="""
CREATE TABLE events (
  stream_ordering bigint PRIMARY KEY,
  topological_ordering bigint NOT NULL,
  event_id text NOT NULL UNIQUE,
  room_id text NOT NULL,
  type text NOT NULL,
  sender text NOT NULL,
  outlier boolean NOT NULL
);
CREATE INDEX events_room_stream ON events (room_id, stream_ordering);
CREATE TABLE event_push_actions (
  room_id text NOT NULL,
  event_id text NOT NULL,
  user_id text NOT NULL,
  stream_ordering bigint NOT NULL,
  topological_ordering bigint NOT NULL,
  notif smallint NOT NULL,
  highlight smallint NOT NULL,
  actions text NOT NULL
);
CREATE INDEX event_push_actions_stream_highlight_index ON event_push_actions (highlight, stream_ordering) WHERE highlight = 0;
CREATE INDEX event_push_actions_rm_tokens ON event_push_actions (user_id, room_id, topological_ordering, stream_ordering);
CREATE TABLE receipts (room_id text NOT NULL, user_id text NOT NULL, receipt_type text NOT NULL, event_id text NOT NULL);
""",
    load="""
SELECT setseed(0.43);
INSERT INTO events
SELECT g, CASE WHEN g % 211 = 0 THEN g / 3 ELSE g END, '$e' || md5(g::text), '!room' || floor(power(random(), 2) * 600)::int || ':example.org',
       CASE WHEN random() < 0.7 THEN 'm.room.message' WHEN random() < 0.9 THEN 'm.room.member' ELSE 'm.room.encrypted' END,
       '@u' || (power(random(), 2) * 900)::int || ':example.org', random() < 0.05
FROM generate_series(1, 110000) AS g;
INSERT INTO event_push_actions
SELECT e.room_id, e.event_id, '@u' || (power(random(), 3) * 300)::int || ':example.org', e.stream_ordering, e.topological_ordering,
       CASE WHEN random() < 0.5 THEN 1 ELSE 0 END, CASE WHEN random() < 0.004 THEN 1 ELSE 0 END, '["notify",{"set_tweak":"highlight"}]'
FROM events e, generate_series(1, 2) WHERE e.type <> 'm.room.member';
INSERT INTO receipts
SELECT p.room_id, p.user_id, 'm.read', e.event_id
FROM (SELECT room_id, user_id, (min(stream_ordering) + 3 * max(stream_ordering)) / 4 AS s FROM event_push_actions GROUP BY room_id, user_id) AS p
JOIN events e ON e.stream_ordering = p.s;
""",
    statements=(
        Called(
            "highlights",
            "SELECT event_id, room_id, stream_ordering FROM event_push_actions WHERE user_id = {u} AND highlight = 1"
            " AND stream_ordering < {s} ORDER BY stream_ordering DESC LIMIT 20",
            ({"u": "@u0:example.org", "s": 109000}, {"u": "@u200:example.org", "s": 80000}),
            100,
        ),
        Called(
            "rotate",
            "DELETE FROM event_push_actions WHERE user_id = {u} AND room_id = {r} AND stream_ordering <= {s} AND highlight = 0",
            (
                {"u": "@u3:example.org", "r": "!room5:example.org", "s": 90000},
                {"u": "@u150:example.org", "r": "!room400:example.org", "s": 100000},
            ),
            30,
        ),
        Called(
            "unread_after_receipt",
            "SELECT count(*) FROM receipts rl JOIN events e ON e.event_id = rl.event_id JOIN event_push_actions ep ON ep.user_id = rl.user_id"
            " AND ep.room_id = rl.room_id WHERE rl.user_id = {u} AND rl.receipt_type = 'm.read' AND ep.stream_ordering > e.stream_ordering"
            " AND ep.notif = 1",
            ({"u": "@u100:example.org"}, {"u": "@u299:example.org"}),
            50,
        ),
        Called(
            "back_in_room",
            "SELECT event_id, topological_ordering, stream_ordering FROM events WHERE outlier = false AND room_id = {r}"
            " AND (topological_ordering, stream_ordering) < ({t}, {s}) ORDER BY topological_ordering DESC, stream_ordering DESC LIMIT 20",
            (
                {"r": "!room0:example.org", "t": 90000, "s": 90000},
                {"r": "!room580:example.org", "t": 100000, "s": 100000},
            ),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON event_push_actions (user_id, stream_ordering) WHERE highlight = 1",
        "CREATE INDEX ON event_push_actions (user_id, room_id, stream_ordering) WHERE notif = 1",
        "CREATE INDEX ON receipts (user_id) INCLUDE (receipt_type, room_id, event_id)",
        "CREATE INDEX ON events (room_id, topological_ordering, stream_ordering) WHERE NOT outlier",
    ),
)
