"""A catalog that is searched by parts of words, whatever the case."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="trigrams",
    about="Django's icontains and istartswith, which are upper(x) LIKE upper('%…%'), ILIKE, and a prefix in a locale",
    schema="""
create extension pg_trgm;
create table books (
    id int primary key, title text not null, author text not null, isbn text not null, year int not null,
    blurb text not null
);
""",
    load="""
select setseed(0.3);
create temp table words as
select g as id, string_agg(chr(97 + (abs(hashint4(g * 31 + k)) % 26)), '' order by k) as word
from generate_series(1, 4000) g, generate_series(1, 4 + g % 5) k group by g;
create unique index on words (id);
insert into books
select g, initcap(a.word || ' ' || b.word || ' ' || c.word), initcap(d.word) || ' ' || initcap(e.word),
    '978-' || lpad((g * 7919::bigint % 1000000)::text, 6, '0') || '-' || g % 10, 1950 + g % 75, repeat('blurb ', 160)
from (select g, (power(random(), 2) * 3999)::int as x, (random() * 3999)::int as y, (random() * 3999)::int as z,
             (power(random(), 3) * 3999)::int as v, (random() * 3999)::int as w from generate_series(1, 150000) g) r
join words a on a.id = r.x + 1 join words b on b.id = r.y + 1 join words c on c.id = r.z + 1
join words d on d.id = r.v + 1 join words e on e.id = r.w + 1;
""",
    statements=(
        Called(
            "icontains",
            'SELECT "books"."id", "books"."title" FROM "books" WHERE UPPER("books"."title"::text) LIKE UPPER({part})'
            ' ORDER BY "books"."id" DESC LIMIT 21',
            ({"part": "%kwom%"}, {"part": "%xqzv%"}, {"part": "%bdfa%"}),
            6,
        ),
        Called(
            "author",
            "select id, title, author from books where author ilike {part} limit 50",
            ({"part": "%rekq%"}, {"part": "%zzua%"}),
            4,
        ),
        Called(
            "isbn",
            "select * from books where isbn like {prefix} order by isbn limit 10",
            ({"prefix": "978-004711%"}, {"prefix": "978-1234%"}),
            6,
        ),
        Called(
            "new_book",
            "insert into books values ({id}, {title}, {author}, {isbn}, 2025, 'new')",
            (
                {
                    "id": 300001,
                    "title": "Some New Title",
                    "author": "Any One",
                    "isbn": "978-999999-1",
                },
            ),
            3,
        ),
    ),
    expert=(
        "create index on books using gin (upper(title) gin_trgm_ops)",
        "create index on books using gin (author gin_trgm_ops)",
        "create index on books (isbn text_pattern_ops)",
    ),
)
