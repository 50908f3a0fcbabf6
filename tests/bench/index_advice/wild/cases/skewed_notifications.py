from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="skewed_notifications",
    about=(
        "Parameters of very different selectivity for the same statement: a bot with a third of the rows beside users with two, a"
        " state that is almost everything or almost nothing, anti-joins and max per group (GitLab's and Sentry's notifications)."
    ),
    schema="""
CREATE TABLE notifications (
  id bigserial PRIMARY KEY,
  user_id integer NOT NULL,
  actor_id integer NOT NULL,
  kind text NOT NULL,
  state text NOT NULL,
  target_id integer NOT NULL,
  created_at timestamptz NOT NULL,
  data text NOT NULL
);
CREATE INDEX notifications_kind ON notifications (kind);
CREATE TABLE targets (
  id integer PRIMARY KEY,
  title text NOT NULL,
  closed boolean NOT NULL
);
""",
    load="""
SELECT setseed(0.49);
INSERT INTO targets SELECT g, 'Target ' || g, random() < 0.97 FROM generate_series(1, 40000) AS g;
INSERT INTO notifications (user_id, actor_id, kind, state, target_id, created_at, data)
SELECT CASE WHEN random() < 0.33 THEN 1 ELSE 2 + floor(power(random(), 4) * 60000)::int END, (power(random(), 2) * 5000)::int,
       (ARRAY['mention', 'assign', 'push', 'push', 'push', 'merge'])[1 + floor(random() * 6)::int],
       CASE WHEN random() < 0.985 THEN 'read' WHEN random() < 0.7 THEN 'pending' ELSE 'failed' END,
       1 + (power(random(), 3) * 39000)::int, timestamptz '2024-06-01 00:00+00' + g * interval '90 seconds', repeat(md5(g::text), 3)
FROM generate_series(1, 250000) AS g;
""",
    statements=(
        Called(
            "feed",
            "SELECT id, kind, data FROM notifications WHERE user_id = {u} AND state = {s} ORDER BY created_at DESC LIMIT 20",
            (
                {"u": 1, "s": "read"},
                {"u": 1, "s": "failed"},
                {"u": 2, "s": "pending"},
                {"u": 45000, "s": "read"},
                {"u": 50, "s": "failed"},
            ),
            100,
        ),
        Called(
            "deliver",
            "UPDATE notifications SET state = 'read' WHERE id IN (SELECT id FROM notifications WHERE state = {s} AND kind = {k}"
            " ORDER BY created_at LIMIT 20 FOR UPDATE SKIP LOCKED)",
            ({"s": "pending", "k": "mention"}, {"s": "failed", "k": "merge"}),
            50,
        ),
        Called(
            "untouched_targets",
            "SELECT t.id, t.title FROM targets t WHERE NOT t.closed AND NOT EXISTS (SELECT 1 FROM notifications n WHERE n.target_id = t.id AND"
            " n.kind = {k}) ORDER BY t.id LIMIT 50",
            ({"k": "mention"}, {"k": "push"}),
            20,
        ),
        Called(
            "latest_per_kind",
            "SELECT kind, max(created_at) FROM notifications WHERE target_id = {t} GROUP BY kind",
            ({"t": 1}, {"t": 38000}, {"t": 500}),
            50,
        ),
        Called(
            "in_list",
            "SELECT DISTINCT user_id FROM notifications WHERE actor_id IN ({a}, {b}) AND state <> 'read'",
            ({"a": 0, "b": 1}, {"a": 4000, "b": 4999}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON notifications (user_id, state, created_at DESC)",
        "CREATE INDEX ON notifications (state, kind, created_at) WHERE state <> 'read'",
        "CREATE INDEX ON notifications (target_id, kind, created_at)",
        "CREATE INDEX ON notifications (actor_id) WHERE state <> 'read'",
        "CREATE INDEX ON targets (id) WHERE NOT closed",
    ),
)
