from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="nearly_right_tasks",
    about=(
        "TRAP: a table that has too many indexes already, each one column short of what is asked (a prefix, a wrong order, a"
        " predicate that excludes the rows): one or two exact ones are missing, the rest would only double what exists."
    ),
    schema="""
CREATE TABLE tasks (
  id bigserial PRIMARY KEY,
  project_id integer NOT NULL,
  assignee_id integer,
  state text NOT NULL,
  due_at timestamptz,
  position double precision NOT NULL,
  created_at timestamptz NOT NULL,
  title text NOT NULL
);
CREATE INDEX tasks_project ON tasks (project_id);
CREATE INDEX tasks_project_state ON tasks (project_id, state);
CREATE INDEX tasks_assignee ON tasks (assignee_id);
CREATE INDEX tasks_state_due ON tasks (state, due_at);
CREATE INDEX tasks_open_due ON tasks (due_at) WHERE state = 'open' AND assignee_id IS NULL;
CREATE INDEX tasks_created ON tasks (created_at);
CREATE INDEX tasks_position ON tasks (position);
""",
    load="""
SELECT setseed(0.55);
INSERT INTO tasks (project_id, assignee_id, state, due_at, position, created_at, title)
SELECT 1 + floor(power(random(), 2.5) * 900)::int, CASE WHEN random() < 0.85 THEN (power(random(), 2) * 700)::int END, s.st,
       CASE WHEN random() < 0.7 THEN s.t + random() * interval '40 days' END, random() * 100000, s.t, 'Task ' || repeat(md5(s.g::text), 4)
FROM (SELECT g, timestamptz '2023-01-01 00:00+00' + g * interval '5 minutes' AS t,
             CASE WHEN g > 235000 AND random() < 0.5 THEN 'open' WHEN random() < 0.01 THEN 'open' WHEN random() < 0.9 THEN 'closed' ELSE 'archived' END AS st
      FROM generate_series(1, 250000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "board",
            "SELECT id, title FROM tasks WHERE project_id = {p} AND state = {s} ORDER BY position LIMIT 50",
            (
                {"p": 1, "s": "open"},
                {"p": 1, "s": "closed"},
                {"p": 600, "s": "open"},
                {"p": 20, "s": "archived"},
            ),
            100,
        ),
        Called(
            "due_of_assignee",
            "SELECT id, title, due_at FROM tasks WHERE assignee_id = {a} AND state = 'open' AND due_at < {d} ORDER BY due_at LIMIT 20",
            ({"a": 0, "d": "2025-07-01 00:00+00"}, {"a": 650, "d": "2025-06-01 00:00+00"}),
            100,
        ),
        Called(
            "unassigned",
            "SELECT id, due_at FROM tasks WHERE state = 'open' AND assignee_id IS NULL AND due_at < {d} ORDER BY due_at LIMIT 20",
            ({"d": "2025-06-01 00:00+00"},),
            100,
        ),
        Called(
            "states",
            "SELECT state, count(*) FROM tasks WHERE project_id = {p} GROUP BY state",
            ({"p": 1}, {"p": 300}),
            50,
        ),
        Called(
            "move",
            "UPDATE tasks SET position = {x} WHERE id = {i}",
            tuple({"x": n * 37.5, "i": 235001 + n * 71} for n in range(40)),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON tasks (project_id, state, position)",
        "CREATE INDEX ON tasks (assignee_id, due_at) WHERE state = 'open'",
    ),
)
