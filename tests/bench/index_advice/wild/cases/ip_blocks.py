from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="ip_blocks",
    about="The network that holds an address, >>=, sign-ins from a range, <<=, and the reverse DNS name by a suffix as a reversed prefix.",
    schema="""
CREATE TABLE ip_networks (
  id serial PRIMARY KEY,
  network inet NOT NULL,
  asn integer NOT NULL,
  country text NOT NULL
);
CREATE TABLE sign_ins (
  id bigserial PRIMARY KEY,
  user_id integer NOT NULL,
  ip inet NOT NULL,
  rdns text,
  ok boolean NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX sign_ins_user ON sign_ins (user_id);
""",
    load="""
SELECT setseed(0.38);
INSERT INTO ip_networks (network, asn, country)
SELECT set_masklen(('1.0.0.0'::inet + g::bigint * 24000)::inet, 19 + g % 10), (random() * 60000)::int, chr(65 + g % 26) || 'X'
FROM generate_series(1, 120000) AS g;
INSERT INTO sign_ins (user_id, ip, rdns, ok, at)
SELECT (power(random(), 2) * 20000)::int, CASE WHEN random() < 0.4 THEN '10.8.0.0'::inet + (random() * 500)::int ELSE '1.0.0.0'::inet + (random() * 2000000000)::bigint END,
       CASE WHEN random() < 0.8 THEN 'h' || g || '.' || (ARRAY['isp.example', 'cable.example', 'uni.example.org', 'vpn' || g % 3000 || '.test'])[1 + floor(random() * 4)::int] END,
       random() < 0.97, timestamptz '2025-01-01 00:00+00' + g * interval '1 minute'
FROM generate_series(1, 200000) AS g;
""",
    statements=(
        Called(
            "network_of",
            "SELECT network, asn, country FROM ip_networks WHERE network >>= {i}::inet ORDER BY masklen(network) DESC LIMIT 1",
            ({"i": "9.9.9.9"}, {"i": "101.5.0.3"}, {"i": "240.0.0.1"}),
            200,
        ),
        Called(
            "from_range",
            "SELECT user_id, at FROM sign_ins WHERE ip <<= {r}::inet AND NOT ok ORDER BY at DESC LIMIT 20",
            ({"r": "10.8.1.0/28"}, {"r": "77.0.0.0/12"}, {"r": "99.1.2.3/32"}),
            100,
        ),
        Called(
            "by_suffix",
            "SELECT count(*) FROM sign_ins WHERE reverse(rdns) LIKE reverse({s})",
            ({"s": "%.vpn77.test"}, {"s": "%h12345.uni.example.org"}),
            50,
        ),
    ),
    expert=(
        "CREATE INDEX ON ip_networks USING gist (network inet_ops)",
        "CREATE INDEX ON sign_ins (ip) WHERE NOT ok",
        "CREATE INDEX ON sign_ins (reverse(rdns) text_pattern_ops)",
    ),
)
