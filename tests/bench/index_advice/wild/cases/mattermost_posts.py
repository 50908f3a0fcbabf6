from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="mattermost_posts",
    about=(
        "Pages of a channel's posts, those before a post found by a scalar subquery, those changed since, unread ones that are no system"
        " messages, and edits (after mattermost/mattermost pulls 22121 and 20945 and issues 7180, 8616 and 19181)."
    ),
    schema="""
CREATE TABLE posts (
  id varchar(26) PRIMARY KEY,
  createat bigint NOT NULL,
  updateat bigint NOT NULL,
  editat bigint NOT NULL,
  deleteat bigint NOT NULL,
  userid varchar(26) NOT NULL,
  channelid varchar(26) NOT NULL,
  rootid varchar(26) NOT NULL,
  originalid varchar(26) NOT NULL,
  message varchar(65535),
  type varchar(26) NOT NULL
);
CREATE INDEX idx_posts_update_at ON posts (updateat);
CREATE INDEX idx_posts_create_at ON posts (createat);
CREATE INDEX idx_posts_delete_at ON posts (deleteat);
CREATE INDEX idx_posts_channel_id ON posts (channelid);
CREATE INDEX idx_posts_root_id ON posts (rootid);
CREATE INDEX idx_posts_user_id ON posts (userid);
""",
    load="""
SELECT setseed(0.66);
INSERT INTO posts
SELECT left(md5(s.g::text), 26), s.t, s.t + CASE WHEN s.k < 0.1 THEN (random() * 5e7)::bigint ELSE 0 END, CASE WHEN s.k < 0.05 THEN s.t + 1000 ELSE 0 END,
       CASE WHEN s.k BETWEEN 0.1 AND 0.16 THEN s.t + 500 ELSE 0 END, 'user' || (power(random(), 2) * 800)::int,
       CASE WHEN s.c < 0.35 THEN 'chan0' ELSE 'chan' || (power(s.c, 2) * CASE WHEN s.g < 90000 THEN 900 ELSE 600 END)::int END,
       CASE WHEN random() < 0.3 THEN left(md5((s.g - (random() * 300)::int)::text), 26) ELSE '' END,
       CASE WHEN s.k < 0.03 THEN left(md5((s.g - 1)::text), 26) ELSE '' END, repeat(md5(s.g::text) || ' ', 3),
       CASE WHEN random() < 0.06 THEN 'system_join_channel' ELSE '' END
FROM (SELECT g, random() AS k, random() AS c, 1700000000000 + g * 30000::bigint AS t FROM generate_series(1, 240000) AS g OFFSET 0) AS s;
""",
    statements=(
        Called(
            "page",
            "SELECT * FROM posts WHERE channelid = {c} AND deleteat = 0 ORDER BY createat DESC LIMIT {n} OFFSET {o}",
            (
                {"c": "chan0", "n": 60, "o": 0},
                {"c": "chan700", "n": 60, "o": 0},
                {"c": "chan300", "n": 60, "o": 60},
                {"c": "chan850", "n": 60, "o": 0},
            ),
            100,
        ),
        Called(
            "before",
            "SELECT p.*, (SELECT count(*) FROM posts WHERE posts.rootid = p.id AND posts.deleteat = 0) AS replycount FROM posts p"
            " WHERE p.createat < (SELECT createat FROM posts WHERE id = {p}) AND p.channelid = {c} AND p.deleteat = 0"
            " ORDER BY p.channelid, p.deleteat, p.createat DESC LIMIT 30 OFFSET 0",
            (
                {"p": "03e6c61603f6c550ab49ab6a2d", "c": "chan0"},
                {"p": "4abbedd62b6f1a99d4153bcb3f", "c": "chan600"},
                {"p": "8fe95a968982ae1cd2c7cb37ec", "c": "chan880"},
            ),
            50,
        ),
        Called(
            "since",
            "SELECT * FROM posts WHERE updateat > {t} AND channelid = {c} ORDER BY createat DESC LIMIT 1000",
            (
                {"t": 1707170000000, "c": "chan0"},
                {"t": 1707190000000, "c": "chan450"},
                {"t": 1706900000000, "c": "chan520"},
            ),
            100,
        ),
        Called(
            "unread",
            "SELECT count(*) FROM posts WHERE channelid = {c} AND createat > {t} AND deleteat = 0 AND type NOT LIKE 'system_%' AND userid <> {u}",
            (
                {"c": "chan0", "t": 1707150000000, "u": "user1"},
                {"c": "chan400", "t": 1706500000000, "u": "user5"},
            ),
            100,
        ),
        Called(
            "history",
            "SELECT * FROM posts WHERE originalid = {o} ORDER BY editat DESC",
            ({"o": "334146de1b9346272cb013adf1"}, {"o": "83d634317da9e6facbb206b529"}),
            10,
        ),
        Called(
            "delete",
            "UPDATE posts SET deleteat = {t}, updateat = {t} WHERE id = {p}",
            ({"t": 1707200000001, "p": "8206a444abe1f594516ddd6992"},),
            20,
        ),
    ),
    expert=(
        "CREATE INDEX ON posts (channelid, deleteat, createat)",
        "CREATE INDEX ON posts (channelid, updateat)",
        "CREATE INDEX ON posts (originalid)",
    ),
)
