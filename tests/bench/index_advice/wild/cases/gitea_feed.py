from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="gitea_feed",
    about=(
        "The newest actions of a user and their number, beside three indexes that hold all the columns in other orders, with"
        " subqueries on repositories (after go-gitea/gitea issues 21611, 32224, 32858 and 38075)."
    ),
    schema="""
CREATE TABLE repository (id bigint PRIMARY KEY, owner_id bigint NOT NULL, is_private boolean NOT NULL, name text NOT NULL);
CREATE TABLE access (id bigint PRIMARY KEY, user_id bigint NOT NULL, repo_id bigint NOT NULL, mode integer NOT NULL, UNIQUE (user_id, repo_id));
CREATE TABLE action (
  id bigint PRIMARY KEY,
  user_id bigint,
  op_type integer,
  act_user_id bigint,
  repo_id bigint,
  comment_id bigint,
  is_deleted boolean NOT NULL DEFAULT false,
  ref_name varchar(255),
  is_private boolean NOT NULL DEFAULT false,
  content text,
  created_unix bigint
);
CREATE INDEX "IDX_action_r_u_d" ON action (repo_id, user_id, is_deleted);
CREATE INDEX "IDX_action_au_r_c_u_d" ON action (act_user_id, repo_id, created_unix, user_id, is_deleted);
CREATE INDEX "IDX_action_c_u_d" ON action (created_unix, user_id, is_deleted);
CREATE INDEX "IDX_action_comment_id" ON action (comment_id);
""",
    load="""
SELECT setseed(0.62);
INSERT INTO repository SELECT g, 1 + (power(random(), 2) * 400)::int, random() < 0.3, 'repo' || g FROM generate_series(1, 3000) AS g;
INSERT INTO access SELECT g, 1 + g % 500, 1 + (g * 7) % 2999, 1 + g % 3 FROM generate_series(1, 6000) AS g ON CONFLICT DO NOTHING;
INSERT INTO action
SELECT g, 1 + (power(random(), 2) * CASE WHEN g < 100000 THEN 500 ELSE 300 END)::int, (ARRAY[5, 5, 5, 18, 1, 6, 10])[1 + (random() * 6)::int],
       1 + (power(random(), 2) * 500)::int, 1 + (power(random(), 2) * 2999)::int, CASE WHEN random() < 0.2 THEN g END, random() < 0.01,
       'refs/heads/main', random() < 0.3, repeat(md5(g::text), 8), 1672531200 + g * 200
FROM generate_series(1, 250000) AS g;
""",
    statements=(
        Called(
            "feed",
            "SELECT id, user_id, op_type, act_user_id, repo_id, ref_name, content, created_unix FROM action"
            " WHERE user_id = {u} AND is_deleted = {d} ORDER BY action.created_unix DESC LIMIT 20",
            (
                {"u": 3, "d": False},
                {"u": 250, "d": False},
                {"u": 495, "d": False},
                {"u": 9000, "d": False},
            ),
            100,
        ),
        Called(
            "count",
            "SELECT count(*) FROM action WHERE user_id = {u} AND is_deleted = {d}",
            ({"u": 3, "d": False}, {"u": 250, "d": False}, {"u": 495, "d": False}),
            100,
        ),
        Called(
            "feed_of_readable",
            "SELECT action.* FROM action INNER JOIN repository ON repository.id = action.repo_id WHERE user_id = {u} AND is_deleted = {d}"
            " AND repo_id IN (SELECT id FROM repository WHERE is_private = {d} OR owner_id = {u}"
            " OR id IN (SELECT repo_id FROM access WHERE user_id = {u} AND mode > {m})) ORDER BY action.created_unix DESC LIMIT 20",
            ({"u": 3, "d": False, "m": 0}, {"u": 400, "d": False, "m": 0}),
            30,
        ),
        Called(
            "heatmap",
            "SELECT created_unix / 900 * 900 AS timestamp, count(user_id) AS contributions FROM action WHERE user_id = {u}"
            " AND act_user_id = {u} AND is_deleted = {d} AND created_unix > {t} GROUP BY timestamp ORDER BY timestamp",
            ({"u": 3, "d": False, "t": 1715000000}, {"u": 60, "d": False, "t": 1715000000}),
            20,
        ),
        Called(
            "add",
            "INSERT INTO action (id, user_id, op_type, act_user_id, repo_id, is_deleted, content, created_unix)"
            " VALUES ({i}, {u}, 5, 7, 9, false, 'pushed', 1722531400)",
            ({"i": 300001, "u": 3},),
            100,
        ),
    ),
    expert=("CREATE INDEX ON action (user_id, is_deleted, created_unix)",),
)
