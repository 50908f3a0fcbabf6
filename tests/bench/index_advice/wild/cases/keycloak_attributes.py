from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="keycloak_attributes",
    about=(
        "Users by an attribute, name = x AND lower(value) = lower(y), beside an index on the name and the value, events of users who"
        " have none, and the account of a service (after keycloak/keycloak issues 12671, 37607, 26995, 37943 and 8955)."
    ),
    schema="""
CREATE TABLE user_entity (
  id varchar(36) PRIMARY KEY,
  realm_id varchar(255) NOT NULL,
  username varchar(255) NOT NULL,
  email varchar(255),
  enabled boolean NOT NULL DEFAULT true,
  service_account_client_link varchar(255),
  created_timestamp bigint NOT NULL,
  UNIQUE (realm_id, username)
);
CREATE TABLE user_attribute (
  id varchar(36) PRIMARY KEY,
  user_id varchar(36) NOT NULL REFERENCES user_entity,
  name varchar(255) NOT NULL,
  value varchar(255)
);
CREATE INDEX idx_user_attribute ON user_attribute (user_id);
CREATE INDEX idx_user_attribute_name ON user_attribute (name, value);
CREATE TABLE event_entity (
  id varchar(36) PRIMARY KEY,
  realm_id varchar(255),
  user_id varchar(255),
  client_id varchar(255),
  type varchar(255),
  event_time bigint,
  ip_address varchar(255),
  details_json varchar(2550)
);
CREATE INDEX idx_event_time ON event_entity (realm_id, event_time);
""",
    load="""
SELECT setseed(0.61);
INSERT INTO user_entity
SELECT md5('u' || g)::uuid, CASE WHEN random() < 0.8 THEN 'main' ELSE 'realm' || (random() * 20)::int END, 'user' || g, 'user' || g || '@example.com',
       random() < 0.95, CASE WHEN g % 400 = 0 THEN md5('c' || g)::uuid END, 1700000000000 + g * 60000::bigint
FROM generate_series(1, 60000) AS g;
INSERT INTO user_attribute
SELECT md5('a' || g || n)::uuid, md5('u' || g)::uuid, n,
       CASE n WHEN 'locale' THEN (ARRAY['en', 'de', 'fr'])[1 + (power(random(), 3) * 3)::int % 3] WHEN 'phoneNumber' THEN '+49' || 1000000 + g * 7
              WHEN 'employeeId' THEN 'E' || upper(substr(md5(g::text), 1, 8)) ELSE 'Dept' || (power(random(), 2) * 150)::int END
FROM generate_series(1, 60000) AS g, unnest(ARRAY['locale', 'phoneNumber', 'employeeId', 'department']) AS n
WHERE n <> 'department' OR g % 3 = 0;
INSERT INTO event_entity
SELECT md5('e' || g)::uuid, CASE WHEN random() < 0.9 THEN 'main' ELSE 'realm' || (random() * 20)::int END,
       md5('u' || 1 + (power(random(), 3) * 40000)::int)::uuid, 'client' || (random() * 10)::int,
       (ARRAY['LOGIN', 'REFRESH_TOKEN', 'CODE_TO_TOKEN', 'LOGIN_ERROR', 'UPDATE_PASSWORD'])[1 + floor(power(random(), 2) * 5)::int],
       1735689600000 + g * 40000::bigint, '10.0.0.' || g % 250, repeat('{"k":"v"}', 12)
FROM generate_series(1, 200000) AS g;
""",
    statements=(
        Called(
            "by_attribute",
            "select ue1_0.id, ue1_0.username, ue1_0.email from user_entity ue1_0 join user_attribute a1_0 on ue1_0.id = a1_0.user_id"
            " where ue1_0.realm_id = {r} and a1_0.name = {n} and lower(a1_0.value) = lower({v}) order by ue1_0.username fetch first 100 rows only",
            (
                {"r": "main", "n": "employeeId", "v": "e7c77f048"},
                {"r": "main", "n": "phoneNumber", "v": "+491140000"},
                {"r": "realm3", "n": "employeeId", "v": "Ef1c15925"},
                {"r": "main", "n": "department", "v": "dept149"},
            ),
            60,
        ),
        Called(
            "events_of_user",
            "select id, client_id, details_json, ip_address, event_time, type from event_entity where realm_id = {r} and type in ({a}, {b})"
            " and user_id = {u} order by event_time desc fetch first 100 rows only",
            (
                {
                    "r": "main",
                    "a": "LOGIN",
                    "b": "LOGIN_ERROR",
                    "u": "e4774cdd-a079-3f86-414e-8b9140bb6db4",
                },
                {
                    "r": "main",
                    "a": "LOGIN",
                    "b": "UPDATE_PASSWORD",
                    "u": "a0c4a79b-88af-d817-40b9-4c2f7587a134",
                },
                {
                    "r": "main",
                    "a": "LOGIN",
                    "b": "LOGIN_ERROR",
                    "u": "92130657-4e5b-ba13-a652-1d89be98bd39",
                },
            ),
            40,
        ),
        Called(
            "service_account",
            "select id, username from user_entity where service_account_client_link = {c} and realm_id = {r}",
            (
                {"c": "bb6a7158-610a-5ddc-023f-85d37191e010", "r": "main"},
                {"c": "f58de344-8b10-68b0-ea45-36c92af31356", "r": "realm4"},
            ),
            100,
        ),
        Called(
            "latest",
            "select id, type, user_id from event_entity where realm_id = {r} order by event_time desc fetch first 100 rows only",
            ({"r": "main"}, {"r": "realm7"}),
            20,
        ),
        Called(
            "expire",
            "delete from event_entity where realm_id = {r} and event_time < {t}",
            ({"r": "main", "t": 1735691600000}, {"r": "realm2", "t": 1735709600000}),
            2,
        ),
    ),
    expert=(
        "CREATE INDEX ON user_attribute (name, lower(value))",
        "CREATE INDEX ON event_entity (user_id, event_time)",
        "CREATE INDEX ON user_entity (service_account_client_link) WHERE service_account_client_link IS NOT NULL",
    ),
)
