from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="chatwoot_messages",
    about=(
        "The messages of a conversation by time, beside an index on the time alone that is walked for old conversations, with"
        " conversations by state, a thread's identifier and a contact by any of three columns (after chatwoot/chatwoot issue 15225 and"
        " pulls 7050, 9475 and 12715)."
    ),
    schema="""
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE TABLE contacts (
  id integer PRIMARY KEY, account_id integer NOT NULL, name varchar, email varchar, phone_number varchar,
  last_activity_at timestamp, additional_attributes jsonb
);
CREATE INDEX index_contacts_on_account_id ON contacts (account_id);
CREATE TABLE conversations (
  id integer PRIMARY KEY, account_id integer NOT NULL, inbox_id integer NOT NULL, status integer NOT NULL, assignee_id integer,
  contact_id bigint, display_id integer NOT NULL, identifier varchar, agent_last_seen_at timestamp,
  last_activity_at timestamp NOT NULL, created_at timestamp NOT NULL, additional_attributes jsonb
);
CREATE UNIQUE INDEX index_conversations_on_account_id_and_display_id ON conversations (account_id, display_id);
CREATE INDEX index_conversations_on_last_activity_at ON conversations (last_activity_at);
CREATE TABLE messages (
  id integer PRIMARY KEY, content text, account_id integer NOT NULL, inbox_id integer NOT NULL, conversation_id integer NOT NULL,
  message_type integer NOT NULL, private boolean NOT NULL, status integer, source_id varchar, content_attributes json,
  created_at timestamp NOT NULL, updated_at timestamp NOT NULL
);
CREATE INDEX index_messages_on_conversation_account_type_created ON messages (conversation_id, account_id, message_type, created_at);
CREATE INDEX index_messages_on_created_at ON messages (created_at);
CREATE INDEX index_messages_on_account_id ON messages (account_id);
""",
    load="""
SELECT setseed(0.711);
INSERT INTO contacts
SELECT g, 1 + (power(random(), 3) * 40)::int, 'Name ' || md5(g::text), CASE WHEN random() < 0.6 THEN substr(md5((g * 3)::text), 1, 10) || '@example.com' END,
       CASE WHEN random() < 0.5 THEN '+4930' || lpad((g * 7919 % 10000000)::text, 7, '0') END,
       CASE WHEN random() < 0.9 THEN timestamp '2025-01-01' + g * interval '9 minutes' + random() * interval '20 days' END, '{"city": "Berlin"}'
FROM generate_series(1, 50000) AS g;
INSERT INTO conversations
SELECT c.g, c.account_id, c.account_id * 3 + (random() * 2)::int, CASE WHEN c.g > 37000 AND random() < 0.5 THEN 0 WHEN random() < 0.02 THEN 2 WHEN random() < 0.01 THEN 3 ELSE 1 END,
       CASE WHEN random() < 0.7 THEN (power(random(), 2) * 80)::int END, c.contact_id, c.g, CASE WHEN random() < 0.1 THEN c.at || '.' || c.g END,
       NULL, timestamp '2025-01-01' + c.g * interval '11 minutes' + power(random(), 4) * interval '30 days', timestamp '2025-01-01' + c.g * interval '11 minutes', '{}'
FROM (SELECT g, 1700000000 + g AS at, 1 + (power(random(), 3) * 40)::int AS account_id, 1 + (random() * 49999)::int AS contact_id
      FROM generate_series(1, 40000) AS g OFFSET 0) AS c;
INSERT INTO messages
SELECT g, repeat(md5(g::text), 5), c.account_id, c.inbox_id, c.id, CASE WHEN r < 0.45 THEN 0 WHEN r < 0.85 THEN 1 ELSE 2 END, r2 < 0.08,
       CASE WHEN r < 0.01 THEN 3 ELSE 1 END, CASE WHEN r2 > 0.7 THEN md5((g * 5)::text) END, '{}',
       timestamp '2025-01-01' + g * interval '100 seconds', timestamp '2025-01-01' + g * interval '100 seconds'
FROM (SELECT g, random() AS r, random() AS r2,
             greatest(1, (g * 40000.0 / 260000)::int - (power(random(), 3) * 2500)::int) AS conversation FROM generate_series(1, 260000) AS g OFFSET 0) AS m
JOIN conversations c ON c.id = m.conversation;
""",
    statements=(
        Called(
            "page",
            "SELECT messages.* FROM messages WHERE messages.conversation_id = {c} AND messages.id < {i} ORDER BY created_at DESC LIMIT 20",
            ({"c": 300, "i": 250000}, {"c": 20000, "i": 131000}, {"c": 39000, "i": 260000}),
            100,
        ),
        Called(
            "last",
            "SELECT messages.* FROM messages WHERE messages.conversation_id = {c} AND messages.account_id = {a}"
            " ORDER BY messages.created_at DESC LIMIT 1",
            ({"c": 301, "a": 3}, {"c": 20001, "a": 1}, {"c": 38900, "a": 1}),
            100,
        ),
        Called(
            "open_ones",
            "SELECT conversations.* FROM conversations WHERE conversations.account_id = {a} AND conversations.inbox_id IN ({i}, {j})"
            " AND conversations.status = {s} ORDER BY last_activity_at DESC NULLS LAST LIMIT 25 OFFSET 0",
            (
                {"a": 1, "i": 3, "j": 4, "s": 0},
                {"a": 30, "i": 90, "j": 91, "s": 0},
                {"a": 5, "i": 15, "j": 16, "s": 2},
            ),
            60,
        ),
        Called(
            "mine_count",
            "SELECT count(*) FROM conversations WHERE account_id = {a} AND status = {s} AND assignee_id = {u}",
            ({"a": 1, "s": 0, "u": 1}, {"a": 1, "s": 0, "u": 70}, {"a": 20, "s": 0, "u": 3}),
            60,
        ),
        Called(
            "thread",
            "SELECT conversations.* FROM conversations WHERE conversations.identifier = {t} ORDER BY conversations.id ASC LIMIT 1",
            ({"t": "1700012345.12345"}, {"t": "1700030001.30001"}),
            40,
        ),
        Called(
            "by_source",
            "SELECT messages.* FROM messages WHERE messages.source_id = {s} LIMIT 1",
            ({"s": "e4da3b7fbbce2345d7772b0674a318d5"}, {"s": "none"}),
            60,
        ),
        Called(
            "find_contact",
            "SELECT contacts.* FROM contacts WHERE contacts.account_id = {a} AND (name ILIKE {q} OR email ILIKE {q} OR phone_number ILIKE {q})"
            " ORDER BY last_activity_at DESC NULLS LAST LIMIT 15",
            ({"a": 1, "q": "%c4ca42%"}, {"a": 2, "q": "%+49301234%"}),
            20,
        ),
        Called(
            "send",
            "INSERT INTO messages (id, content, account_id, inbox_id, conversation_id, message_type, private, created_at, updated_at)"
            " VALUES ({i}, 'hello', 1, 3, 39000, 1, false, '2025-10-29 12:00', '2025-10-29 12:00')",
            ({"i": 300001},),
            100,
        ),
        Called(
            "touch",
            "UPDATE conversations SET last_activity_at = {t} WHERE conversations.id = {c}",
            ({"t": "2025-11-02 12:00", "c": 39000},),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON messages (conversation_id, created_at)",
        "CREATE INDEX ON messages (source_id) WHERE source_id IS NOT NULL",
        "CREATE INDEX ON conversations (account_id, status, assignee_id)",
        "CREATE INDEX ON conversations (identifier) WHERE identifier IS NOT NULL",
        "CREATE INDEX ON contacts USING gin (name gin_trgm_ops, email gin_trgm_ops, phone_number gin_trgm_ops)",
    ),
)
