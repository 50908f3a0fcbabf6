from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="moodle_grades",
    about=(
        "The path of contexts by a prefix, the grade history of a user twice in a join, events by what they belong to, in updates,"
        " deletes and a range of times, and a log that grows (after tracker.moodle.org MDL-33018, MDL-84533, MDL-69760 and MDL-66253)."
    ),
    schema="""
CREATE TABLE mdl_context (id bigint PRIMARY KEY, contextlevel bigint NOT NULL, instanceid bigint NOT NULL, path varchar(255), depth smallint NOT NULL);
CREATE UNIQUE INDEX mdl_cont_conins_uix ON mdl_context (contextlevel, instanceid);
CREATE INDEX mdl_cont_pat_ix ON mdl_context (path);
CREATE TABLE mdl_role_assignments (id bigint PRIMARY KEY, roleid bigint NOT NULL, contextid bigint NOT NULL, userid bigint NOT NULL);
CREATE INDEX mdl_roleassi_con_ix ON mdl_role_assignments (contextid);
CREATE TABLE mdl_grade_items (id bigint PRIMARY KEY, courseid bigint, itemtype varchar(30) NOT NULL, itemmodule varchar(30), iteminstance bigint);
CREATE INDEX mdl_graditem_cou_ix ON mdl_grade_items (courseid);
CREATE TABLE mdl_grade_grades_history (
  id bigint PRIMARY KEY, action smallint NOT NULL, itemid bigint NOT NULL, userid bigint NOT NULL, finalgrade numeric(10, 5),
  source varchar(255), timemodified bigint, feedback text
);
CREATE INDEX mdl_gradgradhist_act_ix ON mdl_grade_grades_history (action);
CREATE INDEX mdl_gradgradhist_tim_ix ON mdl_grade_grades_history (timemodified);
CREATE TABLE mdl_event (
  id bigint PRIMARY KEY, name text NOT NULL, courseid bigint NOT NULL, groupid bigint NOT NULL, userid bigint NOT NULL, modulename varchar(20) NOT NULL,
  instance bigint NOT NULL, type smallint NOT NULL, eventtype varchar(20) NOT NULL, timestart bigint NOT NULL, timesort bigint, visible smallint NOT NULL, priority bigint
);
CREATE INDEX mdl_even_cou_ix ON mdl_event (courseid);
CREATE TABLE mdl_logstore (id bigint PRIMARY KEY, eventname varchar(255) NOT NULL, contextid bigint NOT NULL, userid bigint NOT NULL, courseid bigint, timecreated bigint NOT NULL, ip varchar(45));
CREATE INDEX mdl_logs_tim_ix ON mdl_logstore (timecreated);
""",
    load="""
SELECT setseed(0.715);
INSERT INTO mdl_context
SELECT g, 70, g, '/1/' || 2 + g % 30 || '/' || 100 + g % 1500 || '/' || g, 4 FROM generate_series(2000, 60000) AS g;
INSERT INTO mdl_context SELECT 100 + g, 50, g, '/1/' || 2 + (100 + g) % 30 || '/' || 100 + g, 3 FROM generate_series(0, 1499) AS g;
INSERT INTO mdl_role_assignments SELECT g, 3 + (power(random(), 2) * 4)::int, 100 + (power(random(), 2) * 1499)::int, 1 + (random() * 9000)::int FROM generate_series(1, 70000) AS g;
INSERT INTO mdl_grade_items SELECT g, g % 1500, CASE WHEN g < 1500 THEN 'course' ELSE 'mod' END, CASE WHEN g >= 1500 THEN (ARRAY['quiz', 'assign', 'forum'])[1 + g % 3] END, g FROM generate_series(1, 12000) AS g;
INSERT INTO mdl_grade_grades_history
SELECT g, CASE WHEN random() < 0.3 THEN 1 WHEN random() < 0.97 THEN 2 ELSE 3 END, 1 + (power(random(), 2) * 11999)::int, 1 + (power(random(), 2) * 9000)::int,
       CASE WHEN random() < 0.8 THEN (random() * 100)::numeric(10, 5) END, 'mod/quiz', 1600000000 + g * 600, CASE WHEN random() < 0.2 THEN repeat(md5(g::text), 6) END
FROM generate_series(1, 170000) AS g;
INSERT INTO mdl_event
SELECT g, 'Event ' || g, CASE WHEN random() < 0.8 THEN (power(random(), 2) * 1500)::int ELSE 0 END, CASE WHEN random() < 0.05 THEN (random() * 300)::int ELSE 0 END,
       CASE WHEN random() < 0.2 THEN (random() * 9000)::int ELSE 0 END, m, CASE WHEN m = '0' THEN 0 ELSE g / 3 END, CASE WHEN random() < 0.6 THEN 1 ELSE 0 END,
       (ARRAY['due', 'open', 'close', 'gradingdue'])[1 + (random() * 3)::int], 1600000000 + g * 1500, CASE WHEN random() < 0.9 THEN 1600000000 + g * 1500 END, CASE WHEN random() < 0.95 THEN 1 ELSE 0 END, NULL
FROM (SELECT g, (ARRAY['quiz', 'assign', 'assign', 'forum', '0', 'lesson'])[1 + (random() * 5)::int] AS m FROM generate_series(1, 80000) AS g OFFSET 0) AS s;
INSERT INTO mdl_logstore
SELECT g, '/core/event/' || (ARRAY['course_viewed', 'user_loggedin', 'module_viewed', 'user_graded'])[1 + (power(random(), 2) * 3)::int], 100 + (power(random(), 2) * 1499)::int,
       1 + (power(random(), 2) * 9000)::int, CASE WHEN random() < 0.9 THEN (power(random(), 2) * 1500)::int END, 1700000000 + g * 60, '10.0.0.' || g % 250
FROM generate_series(1, 200000) AS g;
""",
    statements=(
        Called(
            "contexts_below",
            "SELECT id, contextlevel, instanceid, path, depth FROM mdl_context WHERE path LIKE {p}",
            ({"p": "/1/17/1575/%"}, {"p": "/1/3/101/%"}, {"p": "/1/5/163/%"}),
            100,
        ),
        Called(
            "roles_of",
            "SELECT ra.roleid, c.path FROM mdl_role_assignments ra JOIN mdl_context c ON c.id = ra.contextid WHERE ra.userid = {u}",
            ({"u": 17}, {"u": 8000}),
            100,
        ),
        Called(
            "recover",
            "SELECT h.id, gi.itemtype, gi.itemmodule, h.finalgrade, itemcreated.tm AS timecreated FROM mdl_grade_grades_history h JOIN (SELECT itemid, MAX(id) AS id"
            " FROM mdl_grade_grades_history WHERE userid = {u} GROUP BY itemid) maxquery ON h.id = maxquery.id AND h.itemid = maxquery.itemid"
            " JOIN mdl_grade_items gi ON gi.id = h.itemid JOIN (SELECT itemid, MAX(timemodified) AS tm FROM mdl_grade_grades_history WHERE userid = {u} AND action = {a}"
            " GROUP BY itemid) itemcreated ON itemcreated.itemid = h.itemid WHERE gi.courseid = {c}",
            ({"u": 3, "a": 1, "c": 200}, {"u": 8500, "a": 1, "c": 40}),
            10,
        ),
        Called(
            "history",
            "SELECT finalgrade, source, timemodified FROM mdl_grade_grades_history WHERE itemid = {i} AND userid = {u} ORDER BY timemodified DESC LIMIT 10",
            ({"i": 5, "u": 3}, {"i": 9000, "u": 4000}),
            30,
        ),
        Called(
            "of_instance",
            "SELECT id, eventtype, timestart FROM mdl_event WHERE modulename = {m} AND instance = {i} AND eventtype = {t}",
            ({"m": "assign", "i": 20000, "t": "due"}, {"m": "quiz", "i": 3, "t": "close"}),
            40,
        ),
        Called(
            "timeline",
            "SELECT e.* FROM mdl_event e WHERE e.type = {k} AND e.timesort >= {a} AND e.timesort <= {b} AND (e.userid = {u} OR e.courseid IN ({c}, {d}) OR e.groupid IN ({g}))"
            " AND e.visible = 1 ORDER BY COALESCE(e.timesort, e.timestart) ASC, e.id ASC LIMIT 20",
            (
                {
                    "k": 1,
                    "a": 1719000000,
                    "b": 1719900000,
                    "u": 44,
                    "c": 3,
                    "d": 900,
                    "g": 7,
                },
                {
                    "k": 1,
                    "a": 1660000000,
                    "b": 1660600000,
                    "u": 4400,
                    "c": 1,
                    "d": 2,
                    "g": 9,
                },
            ),
            40,
        ),
        Called(
            "last_access",
            "SELECT MAX(timecreated) FROM mdl_logstore WHERE userid = {u} AND courseid = {c}",
            ({"u": 2, "c": 1}, {"u": 8000, "c": 700}, {"u": 8800, "c": 1499}),
            30,
        ),
        Called(
            "hide",
            "UPDATE mdl_event SET visible = 0 WHERE modulename = {m} AND instance = {i} AND eventtype = {t}",
            ({"m": "assign", "i": 15000, "t": "due"},),
            30,
        ),
        Called(
            "log",
            "INSERT INTO mdl_logstore (id, eventname, contextid, userid, courseid, timecreated) VALUES ({i}, '/core/event/course_viewed', 120, 7, 20, 1712000100)",
            ({"i": 300001},),
            100,
        ),
    ),
    expert=(
        "CREATE INDEX ON mdl_context (path varchar_pattern_ops)",
        "CREATE INDEX ON mdl_role_assignments (userid)",
        "CREATE INDEX ON mdl_grade_grades_history (userid, itemid)",
        "CREATE INDEX ON mdl_event (modulename, instance, eventtype)",
        "CREATE INDEX ON mdl_event (timesort)",
        "CREATE INDEX ON mdl_logstore (userid, courseid, timecreated)",
    ),
)
