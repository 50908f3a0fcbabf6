from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="gitlab_merge_requests",
    about=(
        "A project's merge requests by state, newest first, beside an index that lacks the state (after"
        " gitlab-org/gitlab merge requests 57267 and 67601); the open ones of a big project are all old."
    ),
    schema="""
CREATE TABLE merge_requests (
  id bigserial PRIMARY KEY,
  target_project_id bigint NOT NULL,
  author_id bigint NOT NULL,
  state_id smallint NOT NULL DEFAULT 1,
  title text NOT NULL,
  description text,
  created_at timestamp NOT NULL,
  updated_at timestamp NOT NULL
);
CREATE INDEX index_merge_requests_on_target_project_id_and_created_at_and_id
  ON merge_requests (target_project_id, created_at, id);
CREATE INDEX index_merge_requests_on_author_id ON merge_requests (author_id);
CREATE INDEX index_merge_requests_on_state ON merge_requests (state_id);
""",
    load="""
SELECT setseed(0.15);
INSERT INTO merge_requests (target_project_id, author_id, state_id, title, description, created_at, updated_at)
SELECT s.p, (power(random(), 2) * 5000)::int,
       CASE WHEN s.p = 1 THEN CASE WHEN g < 6000 AND random() < 0.3 THEN 1 WHEN random() < 0.9 THEN 3 ELSE 2 END
            WHEN g > 290000 AND random() < 0.6 THEN 1
            WHEN random() < 0.85 THEN 3 WHEN random() < 0.995 THEN 2 ELSE 1 END,
       'Fix ' || md5(g::text), repeat(md5(g::text), 8),
       timestamp '2020-01-01' + g * interval '9 minutes',
       timestamp '2020-01-01' + g * interval '9 minutes' + power(random(), 4) * interval '300 days'
FROM (SELECT g, CASE WHEN random() < 0.3 THEN 1 ELSE 2 + floor(power(random(), 3) * 3000)::int END AS p
      FROM generate_series(1, 300000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "list_by_state",
            'SELECT "merge_requests".* FROM "merge_requests" WHERE "merge_requests"."target_project_id" = {p}'
            ' AND ("merge_requests"."state_id" IN ({s})) ORDER BY "merge_requests"."created_at" DESC,'
            ' "merge_requests"."id" DESC LIMIT 20 OFFSET {o}',
            (
                {"p": 1, "s": 1, "o": 0},
                {"p": 1, "s": 3, "o": 40},
                {"p": 2, "s": 1, "o": 0},
                {"p": 40, "s": 2, "o": 0},
            ),
            200,
        ),
        Called(
            "count_by_state",
            "SELECT count(*) FROM merge_requests WHERE target_project_id = {p} AND state_id = {s}",
            ({"p": 1, "s": 1}, {"p": 2, "s": 1}, {"p": 700, "s": 3}),
            200,
        ),
        Called(
            "find_each",
            'SELECT "merge_requests".* FROM "merge_requests" WHERE "merge_requests"."target_project_id" = {p}'
            ' AND "merge_requests"."id" > {id} ORDER BY "merge_requests"."id" ASC LIMIT 100',
            ({"p": 3, "id": 0}, {"p": 1500, "id": 100000}, {"p": 1, "id": 250000}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON merge_requests (target_project_id, state_id, created_at, id)",
        "CREATE INDEX ON merge_requests (target_project_id, id)",
    ),
)
