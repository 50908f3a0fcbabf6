from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="lemmy_front_page",
    about=(
        "Posts by rank in pages that compare rows of four columns, without those of blocked people and communities, of followed communities,"
        " while ranks decay (after LemmyNet/lemmy issues 2877 and 4618 and pulls 3617 and 3653)."
    ),
    schema="""
CREATE TABLE post_aggregates (
  post_id integer PRIMARY KEY,
  community_id integer NOT NULL,
  creator_id integer NOT NULL,
  comments bigint NOT NULL,
  score bigint NOT NULL,
  published timestamptz NOT NULL,
  newest_comment_time timestamptz NOT NULL,
  featured_community boolean NOT NULL,
  featured_local boolean NOT NULL,
  hot_rank double precision NOT NULL,
  nsfw boolean NOT NULL
);
CREATE INDEX idx_post_aggregates_score ON post_aggregates (score DESC);
CREATE INDEX idx_post_aggregates_published ON post_aggregates (published DESC);
CREATE TABLE community_follower (person_id integer NOT NULL, community_id integer NOT NULL, PRIMARY KEY (community_id, person_id));
CREATE TABLE community_block (person_id integer NOT NULL, community_id integer NOT NULL, PRIMARY KEY (person_id, community_id));
CREATE TABLE person_block (person_id integer NOT NULL, target_id integer NOT NULL, PRIMARY KEY (person_id, target_id));
""",
    load="""
SELECT setseed(0.67);
INSERT INTO post_aggregates
SELECT g, (power(random(), 2) * 1500)::int, (power(random(), 2) * 8000)::int, (power(random(), 4) * 300)::int, (power(random(), 4) * 3000)::int,
       s.t, s.t + power(random(), 3) * interval '10 days', random() < 0.001, random() < 0.00005,
       CASE WHEN g > 196000 THEN round((random() * 2 * power((g - 196000) / 4000.0::float8, 2))::numeric, 6) ELSE 0 END, random() < 0.05
FROM (SELECT g, timestamptz '2024-05-01 00:00+00' - (200000 - g) * interval '2 minutes' AS t FROM generate_series(1, 200000) AS g OFFSET 0) AS s;
INSERT INTO community_follower SELECT p, c FROM (SELECT DISTINCT (random() * 5000)::int AS p, (power(random(), 2) * 1500)::int AS c FROM generate_series(1, 60000)) AS f;
INSERT INTO community_block SELECT g % 900, g % 1500 FROM generate_series(1, 4000) AS g ON CONFLICT DO NOTHING;
INSERT INTO person_block SELECT g % 900, (g * 17) % 8000 FROM generate_series(1, 4000) AS g ON CONFLICT DO NOTHING;
""",
    statements=(
        Called(
            "hot",
            "SELECT post_id, community_id, score, comments FROM post_aggregates WHERE nsfw = {f}"
            " AND NOT EXISTS (SELECT person_id FROM community_block WHERE post_aggregates.community_id = community_block.community_id AND person_id = {p})"
            " AND NOT EXISTS (SELECT person_id FROM person_block WHERE post_aggregates.creator_id = person_block.target_id AND person_id = {p})"
            " ORDER BY featured_local DESC, hot_rank DESC, published DESC, post_id DESC LIMIT 20",
            ({"f": False, "p": 17}, {"f": False, "p": 4000}),
            100,
        ),
        Called(
            "hot_next",
            "SELECT post_id, community_id, score, comments FROM post_aggregates WHERE nsfw = {f}"
            " AND ({l}, {h}, {t}, {i}) > (featured_local, hot_rank, published, post_id)"
            " ORDER BY featured_local DESC, hot_rank DESC, published DESC, post_id DESC LIMIT 20",
            (
                {"f": False, "l": False, "h": 0.9, "t": "2024-04-30 20:00+00", "i": 199880},
                {"f": False, "l": False, "h": 0.1, "t": "2024-04-28 20:00+00", "i": 198440},
            ),
            60,
        ),
        Called(
            "of_community",
            "SELECT post_id, score, comments FROM post_aggregates WHERE community_id = {c}"
            " ORDER BY featured_community DESC, published DESC LIMIT 20",
            ({"c": 0}, {"c": 1400}, {"c": 700}),
            60,
        ),
        Called(
            "subscribed",
            "SELECT post_id, community_id, score FROM post_aggregates WHERE community_id IN"
            " (SELECT community_id FROM community_follower WHERE person_id = {p}) ORDER BY published DESC LIMIT 20",
            ({"p": 100}, {"p": 3000}),
            40,
        ),
        Called(
            "of_person",
            "SELECT post_id, score FROM post_aggregates WHERE creator_id = {p} ORDER BY published DESC LIMIT 20",
            ({"p": 3}, {"p": 7000}),
            40,
        ),
        Called(
            "decay",
            "UPDATE post_aggregates SET hot_rank = hot_rank * 0.98 WHERE post_id IN (SELECT post_id FROM post_aggregates"
            " WHERE hot_rank <> 0 AND published > {t} ORDER BY published LIMIT 500)",
            ({"t": "2024-04-26 12:00+00"}, {"t": "2024-04-30 10:00+00"}),
            2,
        ),
    ),
    expert=(
        "CREATE INDEX ON post_aggregates (featured_local DESC, hot_rank DESC, published DESC, post_id DESC)",
        "CREATE INDEX ON post_aggregates (community_id, featured_community DESC, published DESC)",
        "CREATE INDEX ON post_aggregates (creator_id, published DESC)",
        "CREATE INDEX ON community_follower (person_id)",
    ),
)
