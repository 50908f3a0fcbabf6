from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="openproject_journals",
    about=(
        "Versions of work packages: those valid at a moment by a range, the same by DISTINCT ON, the last version of one, and a person's"
        " activity (after opf/openproject pulls 11243, 12823 and 13353)."
    ),
    schema="""
CREATE TABLE journals (
  id bigint PRIMARY KEY,
  journable_type varchar NOT NULL,
  journable_id bigint NOT NULL,
  version integer NOT NULL,
  user_id bigint NOT NULL,
  notes text,
  created_at timestamptz NOT NULL,
  validity_period tstzrange NOT NULL,
  data_id bigint NOT NULL
);
CREATE INDEX index_journals_on_user_id ON journals (user_id);
CREATE INDEX index_journals_on_journable_id ON journals (journable_id);
CREATE TABLE work_package_journals (id bigint PRIMARY KEY, project_id bigint NOT NULL, status_id bigint NOT NULL, assigned_to_id bigint, subject text NOT NULL);
""",
    load="""
SELECT setseed(0.71);
INSERT INTO journals
SELECT row_number() OVER (ORDER BY t), ty, w, row_number() OVER (PARTITION BY ty, w ORDER BY t), 1 + (power(random(), 2) * 300)::int,
       CASE WHEN random() < 0.3 THEN repeat('note ', 20) END, t, tstzrange(t, lead(t) OVER (PARTITION BY ty, w ORDER BY t)), row_number() OVER (ORDER BY t)
FROM (SELECT CASE WHEN random() < 0.9 THEN 'WorkPackage' ELSE 'WikiPage' END AS ty, 1 + (power(random(), 2) * 30000)::int AS w,
             timestamptz '2024-01-01 00:00+00' + g * interval '4 minutes' AS t FROM generate_series(1, 180000) AS g OFFSET 0) AS s;
INSERT INTO work_package_journals
SELECT g, 1 + (power(random(), 2) * 200)::int, 1 + (power(random(), 2) * 10)::int, (random() * 300)::int, 'Subject ' || md5(g::text) FROM generate_series(1, 180000) AS g;
""",
    statements=(
        Called(
            "valid_at",
            "SELECT journals.journable_id, d.subject, d.status_id FROM journals JOIN work_package_journals d ON d.id = journals.data_id"
            " WHERE journals.journable_type = 'WorkPackage' AND journals.validity_period @> {t}::timestamptz AND journals.journable_id IN ({a}, {b}, {c})",
            (
                {"t": "2024-06-07 08:52:05+00", "a": 3, "b": 77, "c": 20000},
                {"t": "2025-03-07 08:52:05+00", "a": 1, "b": 2, "c": 29000},
            ),
            100,
        ),
        Called(
            "baseline",
            "SELECT d.id, d.subject FROM work_package_journals d JOIN journals ON journals.data_id = d.id AND journals.journable_type = 'WorkPackage'"
            " AND journals.validity_period @> {t}::timestamptz WHERE d.project_id = {p} AND d.status_id IN ({s}, {u}) ORDER BY d.id DESC LIMIT 100",
            (
                {"t": "2024-03-07 08:52:05+00", "p": 190, "s": 1, "u": 9},
                {"t": "2025-04-07 08:52:05+00", "p": 1, "s": 2, "u": 3},
            ),
            10,
        ),
        Called(
            "last",
            "SELECT id, version, notes FROM journals WHERE journable_type = {y} AND journable_id = {i} ORDER BY version DESC LIMIT 1",
            (
                {"y": "WorkPackage", "i": 3},
                {"y": "WorkPackage", "i": 25000},
                {"y": "WikiPage", "i": 1},
            ),
            100,
        ),
        Called(
            "before_moment",
            "SELECT DISTINCT ON (journable_type, journable_id) id, version FROM journals WHERE journable_type = 'WorkPackage'"
            " AND journable_id IN ({a}, {b}, {c}) AND created_at <= {t} ORDER BY journable_type ASC, journable_id ASC, created_at DESC",
            (
                {"a": 1, "b": 2, "c": 3, "t": "2025-01-01"},
                {"a": 9000, "b": 14000, "c": 21000, "t": "2024-04-01"},
            ),
            30,
        ),
        Called(
            "activity",
            "SELECT id, journable_type, journable_id, created_at FROM journals WHERE user_id = {u} AND created_at BETWEEN {a} AND {b}"
            " ORDER BY created_at DESC",
            (
                {"u": 1, "a": "2025-05-01", "b": "2025-05-08"},
                {"u": 280, "a": "2024-05-01", "b": "2024-05-30"},
            ),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON journals (journable_type, journable_id, version)",
        "CREATE INDEX ON journals (journable_type, journable_id, created_at)",
        "CREATE INDEX ON journals (user_id, created_at)",
        "CREATE INDEX ON journals (data_id)",
        "CREATE INDEX ON work_package_journals (project_id, status_id, id)",
    ),
)
