from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="zabbix_events",
    about=(
        "The newest problems of a trigger among its recoveries, by descending number; open problems by severity and tag; alerts to send"
        " among those sent; the busiest triggers of a week (after a report of tech-lab.sios.jp on Zabbix's dashboard, archives 16994)."
    ),
    schema="""
CREATE TABLE events (
  eventid bigint PRIMARY KEY,
  source integer NOT NULL DEFAULT 0,
  object integer NOT NULL DEFAULT 0,
  objectid bigint NOT NULL DEFAULT 0,
  clock integer NOT NULL DEFAULT 0,
  value integer NOT NULL DEFAULT 0,
  acknowledged integer NOT NULL DEFAULT 0,
  ns integer NOT NULL DEFAULT 0,
  name varchar(2048) NOT NULL DEFAULT '',
  severity integer NOT NULL DEFAULT 0
);
CREATE INDEX events_1 ON events (source, object, objectid, clock);
CREATE INDEX events_2 ON events (source, object, clock);
CREATE TABLE event_recovery (
  eventid bigint PRIMARY KEY REFERENCES events ON DELETE CASCADE,
  r_eventid bigint NOT NULL,
  c_eventid bigint,
  correlationid bigint
);
CREATE TABLE problem (
  eventid bigint PRIMARY KEY,
  source integer NOT NULL DEFAULT 0,
  object integer NOT NULL DEFAULT 0,
  objectid bigint NOT NULL DEFAULT 0,
  clock integer NOT NULL DEFAULT 0,
  r_eventid bigint,
  r_clock integer NOT NULL DEFAULT 0,
  name varchar(2048) NOT NULL DEFAULT '',
  acknowledged integer NOT NULL DEFAULT 0,
  severity integer NOT NULL DEFAULT 0
);
CREATE INDEX problem_1 ON problem (source, object, objectid);
CREATE TABLE problem_tag (problemtagid bigint PRIMARY KEY, eventid bigint NOT NULL, tag varchar(255) NOT NULL DEFAULT '', value varchar(255) NOT NULL DEFAULT '');
CREATE TABLE alerts (
  alertid bigint PRIMARY KEY,
  actionid bigint NOT NULL,
  eventid bigint NOT NULL,
  userid bigint,
  clock integer NOT NULL DEFAULT 0,
  mediatypeid bigint,
  sendto varchar(1024) NOT NULL DEFAULT '',
  message text NOT NULL DEFAULT '',
  status integer NOT NULL DEFAULT 0,
  alerttype integer NOT NULL DEFAULT 0
);
CREATE INDEX alerts_clock ON alerts (clock);
""",
    load="""
SELECT setseed(0.713);
INSERT INTO events
SELECT g, CASE WHEN s.r < 0.75 THEN 0 ELSE 3 END, CASE WHEN s.r < 0.75 THEN 0 ELSE 4 END, 16000 + (power(random(), 4) * 6000)::int, 1748736000 - (220000 - g) * 25,
       CASE WHEN random() < 0.5 THEN 1 ELSE 0 END, CASE WHEN random() < 0.02 THEN 1 ELSE 0 END, (random() * 999999999)::int,
       'High utilization on host ' || (g * 7) % 900 || ', check of ' || substr(md5(g::text), 1, 12), floor(power(random(), 2) * 6)::int
FROM (SELECT g, random() AS r FROM generate_series(1, 220000) AS g OFFSET 0) AS s;
INSERT INTO event_recovery SELECT eventid, eventid + 40 + eventid % 30 FROM events WHERE value = 1 AND eventid < 219000;
INSERT INTO problem
SELECT e.eventid, e.source, e.object, e.objectid, e.clock, r.r_eventid, CASE WHEN r.r_eventid IS NULL THEN 0 ELSE e.clock + 1500 END, e.name, e.acknowledged, e.severity
FROM events e LEFT JOIN event_recovery r USING (eventid) WHERE e.value = 1 AND (e.eventid > 150000 OR e.eventid % 1000 = 0);
UPDATE problem SET r_eventid = NULL, r_clock = 0 WHERE eventid % 400 = 0;
INSERT INTO problem_tag
SELECT row_number() OVER (ORDER BY eventid, t), eventid, t, CASE t WHEN 'service' THEN 'svc' || (eventid * 13) % 60 WHEN 'scope' THEN (ARRAY['availability', 'performance', 'capacity'])[1 + eventid % 3] ELSE 'dc' || eventid % 4 END
FROM problem, unnest(ARRAY['service', 'scope', 'datacenter']) AS t;
INSERT INTO alerts
SELECT g, g % 9, g * 2, g % 30, 1748736000 - (90000 - g) * 60, 1 + g % 3, 'ops' || g % 30 || '@example.com', repeat('Problem started. ', 8),
       CASE WHEN g > 89980 THEN 0 WHEN g > 89960 THEN 3 WHEN random() < 0.02 THEN 2 ELSE 1 END, CASE WHEN random() < 0.95 THEN 0 ELSE 1 END
FROM generate_series(1, 90000) AS g;
""",
    statements=(
        Called(
            "of_trigger",
            "SELECT DISTINCT e.eventid,e.clock,e.ns,e.objectid,e.acknowledged,er1.r_eventid FROM events e LEFT JOIN event_recovery er1 ON er1.eventid=e.eventid"
            " WHERE e.source={s} AND e.object={s} AND e.objectid={o} AND e.eventid<={i} AND e.value={v} ORDER BY e.eventid DESC LIMIT 20",
            (
                {"s": 0, "o": 16000, "i": 219990, "v": 1},
                {"s": 0, "o": 16003, "i": 120491, "v": 1},
                {"s": 0, "o": 17500, "i": 219990, "v": 1},
                {"s": 0, "o": 21900, "i": 219990, "v": 1},
            ),
            60,
        ),
        Called(
            "open_problems",
            "SELECT p.eventid,p.objectid,p.clock,p.name,p.severity FROM problem p WHERE p.source={s} AND p.object={s} AND p.r_eventid IS NULL"
            " AND p.severity IN ({a},{b}) ORDER BY p.eventid DESC LIMIT 101",
            ({"s": 0, "a": 4, "b": 5}, {"s": 0, "a": 3, "b": 4}),
            60,
        ),
        Called(
            "open_of_service",
            "SELECT p.eventid,p.objectid,p.clock FROM problem p WHERE p.source={s} AND p.object={s} AND p.r_eventid IS NULL AND EXISTS"
            " (SELECT NULL FROM problem_tag pt WHERE p.eventid=pt.eventid AND pt.tag={t} AND pt.value={v}) ORDER BY p.eventid DESC",
            (
                {"s": 0, "t": "service", "v": "svc7"},
                {"s": 0, "t": "service", "v": "svc20"},
                {"s": 0, "t": "scope", "v": "availability"},
            ),
            30,
        ),
        Called(
            "to_send",
            "SELECT a.alertid,a.mediatypeid,a.sendto,a.message,a.status FROM alerts a WHERE a.status={n} AND a.alerttype={t} ORDER BY a.alertid",
            ({"n": 3, "t": 0}, {"n": 0, "t": 0}),
            100,
        ),
        Called(
            "busiest",
            "SELECT e.objectid,count(DISTINCT e.eventid) AS cnt FROM events e WHERE e.source=0 AND e.object=0 AND e.value=1 AND e.clock>={f} AND e.clock<={t}"
            " GROUP BY e.objectid ORDER BY cnt DESC LIMIT 100",
            (
                {"f": 1748649600, "t": 1748736000},
                {"f": 1748131200, "t": 1748736000},
            ),
            3,
        ),
        Called(
            "alerts_of_event",
            "SELECT a.alertid,a.clock,a.status,a.sendto FROM alerts a WHERE a.eventid={e} ORDER BY a.alertid",
            ({"e": 2000}, {"e": 160000}, {"e": 219999}),
            40,
        ),
        Called(
            "recover",
            "UPDATE problem SET r_eventid={r},r_clock={c} WHERE eventid={e}",
            tuple({"r": 220001 + n, "c": 1748736100, "e": 219200 + n * 40} for n in range(10)),
            40,
        ),
        Called(
            "sent",
            "UPDATE alerts SET status=1 WHERE alertid={a}",
            tuple({"a": 89970 + n} for n in range(10)),
            60,
        ),
        Called(
            "keep_house",
            "DELETE FROM problem WHERE r_clock<>0 AND r_clock<{t}",
            ({"t": 1745240000}, {"t": 1747001000}),
            2,
        ),
    ),
    expert=(
        "CREATE INDEX ON events (objectid, eventid) WHERE value = 1",
        "CREATE INDEX ON problem (eventid) WHERE r_eventid IS NULL",
        "CREATE INDEX ON problem (r_clock) WHERE r_clock <> 0",
        "CREATE INDEX ON problem_tag (tag, value, eventid)",
        "CREATE INDEX ON alerts (status) WHERE status <> 1",
        "CREATE INDEX ON alerts (eventid)",
    ),
)
