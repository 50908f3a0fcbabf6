from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="similar_names",
    about=(
        "Fuzzy names with %, <% and ILIKE, citext equality, and a suffix of a phone number (after Casecommons/pg_search issue 415"
        " and WeblateOrg/weblate issue 8668): patterns too short for trigrams beside rare ones."
    ),
    schema="""
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TABLE people (
  id serial PRIMARY KEY,
  full_name text NOT NULL,
  handle citext NOT NULL,
  phone text,
  city text NOT NULL,
  notes text NOT NULL
);
CREATE INDEX people_city ON people (city);
""",
    load="""
SELECT setseed(0.52);
INSERT INTO people (full_name, handle, phone, city, notes)
SELECT (ARRAY['Anna', 'Bernd', 'Carla', 'Dmitri', 'Elena', 'Farid', 'Gudrun', 'Hikaru'])[1 + floor(power(random(), 1.5) * 8)::int] || ' '
         || initcap(translate(substr(md5((power(random(), 1.3) * 50000)::int::text), 1, 16), '0123456789', 'aeioulnrst')),
       CASE WHEN random() < 0.5 THEN 'User' ELSE 'user' END || g, '+49' || (1000000000 + (random() * 899999999)::bigint),
       'City ' || (power(random(), 2) * 300)::int, repeat(md5(g::text), 4)
FROM generate_series(1, 120000) AS g;
""",
    statements=(
        Called(
            "similar",
            "SELECT id, full_name, similarity(full_name, {q}) AS s FROM people WHERE full_name % {q} ORDER BY s DESC LIMIT 10",
            ({"q": "Gudrun Cfcdiasutldlnlef"}, {"q": "Hikaru Cuccuiosaabtyosi"}),
            20,
        ),
        Called(
            "contains",
            "SELECT id, full_name FROM people WHERE full_name ILIKE {q} ORDER BY full_name, id LIMIT 20",
            ({"q": "%sutld%"}, {"q": "%hikaru be%"}, {"q": "%an%"}),
            50,
        ),
        Called(
            "by_handle",
            "SELECT * FROM people WHERE handle = {h}",
            ({"h": "USER4711"}, {"h": "nobody"}),
            100,
        ),
        Called(
            "phone_suffix",
            "SELECT id, phone FROM people WHERE right(phone, 6) = {p}",
            ({"p": "123456"}, {"p": "000001"}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON people USING gin (full_name gin_trgm_ops)",
        "CREATE INDEX ON people (full_name, id)",
        "CREATE INDEX ON people (handle)",
        "CREATE INDEX ON people ((right(phone, 6)))",
    ),
)
