"""Articles found by words, in the spellings of full text search."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

_VECTOR = "to_tsvector('english', coalesce(title, '') || ' ' || coalesce(body, ''))"

CASE = Wild(
    name="full_text",
    about="pg_search and Django's SearchVector: to_tsvector over coalesced columns, weights, ranks, and a stored vector",
    schema="""
create table articles (
    id int primary key, title text, body text, author_id int not null, is_published boolean not null,
    published_at timestamptz, tsv tsvector
);
create table words (id int primary key, word text not null);
""",
    load="""
select setseed(0.8);
insert into words
select g, string_agg(chr(97 + (abs(hashint4(g * 131 + k)) % 26)), '' order by k)
from generate_series(1, 3000) g, generate_series(1, 4 + g % 4) k group by g;
insert into articles
select n.g, initcap((select string_agg(word, ' ') from words where id in (n.a, n.b))),
    (select string_agg(w.word, ' ') from generate_series(1, 30) k
     join words w on w.id = 1 + (abs(hashint4(n.g * 31 + k))::bigint * (abs(hashint4(n.g + k)) % 3000) % 3000)),
    (power(random(), 2) * 500)::int, random() < 0.9, timestamptz '2020-01-01' + n.g * interval '45 minutes', null
from (select g, 1 + (power(random(), 2) * 2999)::int a, 1 + (random() * 2999)::int b from generate_series(1, 40000) g offset 0) n;
update articles set tsv = setweight(to_tsvector('english', title), 'A') || to_tsvector('english', body);
""",
    statements=(
        Called(
            "search",
            f"select id, title from articles where {_VECTOR} @@ plainto_tsquery('english', {{words}}) limit 20",
            ({"words": "zzvu"}, {"words": "zzpo aineh"}),
            4,
        ),
        Called(
            "ranked",
            f"SELECT articles.id, ts_rank({_VECTOR}, websearch_to_tsquery('english', {{words}})) AS rank FROM articles"
            f" WHERE {_VECTOR} @@ websearch_to_tsquery('english', {{words}}) AND is_published ORDER BY rank DESC LIMIT 10",
            ({"words": "zyoujp"}, {"words": "zxnvgl -jgntz"}),
            2,
        ),
        Called(
            "stored",
            "select id, title from articles where tsv @@ to_tsquery('english', {words}) order by published_at desc limit 20",
            ({"words": "cwqtr & zzpjn"}, {"words": "zzpo:*"}),
            6,
        ),
        Called(
            "of_author",
            "select id, title, published_at from articles where author_id = {author} and is_published"
            " order by published_at desc limit 10",
            ({"author": 0}, {"author": 450}),
            8,
        ),
    ),
    expert=(
        f"create index on articles using gin ({_VECTOR})",
        "create index on articles using gin (tsv)",
        "create index on articles (author_id, published_at desc)",
    ),
)
