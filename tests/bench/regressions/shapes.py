"""A workload of 25 query shapes on two tables, repeated under many names: nothing in it ever regresses.

Some shapes have heavy tails, two classes of parameters, a daily rhythm, or slowly growing tables; all of that is
ordinary, and none of it may be reported.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

ROWS = 12_000

SCHEMA = f"""
CREATE TABLE items_{{s}} (id int PRIMARY KEY, kind int NOT NULL, price numeric NOT NULL, note text NOT NULL,
    placed timestamptz NOT NULL, extra jsonb NOT NULL);
INSERT INTO items_{{s}} SELECT i, (i * 7919) % 400, (i * 31 % 10007) / 7.0, repeat(md5(i::text), 2),
    timestamptz '2026-01-01' + i * interval '5 minutes', jsonb_build_object('a', i % 50, 'b', md5(i::text))
    FROM generate_series(1, {ROWS}) i;
CREATE INDEX ON items_{{s}} (kind);
CREATE INDEX ON items_{{s}} (placed);
CREATE TABLE events_{{s}} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item int NOT NULL, at timestamptz NOT NULL,
    amount int NOT NULL);
INSERT INTO events_{{s}} (item, at, amount) SELECT (i * 7919) % {ROWS} + 1, timestamptz '2026-01-01' + i * interval '1 minute',
    i % 1000 FROM generate_series(1, {2 * ROWS}) i;
CREATE INDEX ON events_{{s}} (item);
ANALYZE items_{{s}}, events_{{s}};
"""

Parameters = Callable[[random.Random, float], tuple[object, ...]]


@dataclass(frozen=True)
class Shape:
    """A statement; its parameters depend on chance and on the hour of the day (0 to 1)."""

    sql: str
    parameters: Parameters
    weight: float = 1.0


def _id(r: random.Random, _: float) -> tuple[object, ...]:
    return (r.randint(1, ROWS),)


def _none(_: random.Random, __: float) -> tuple[object, ...]:
    return ()


def _kind(r: random.Random, _: float) -> tuple[object, ...]:
    return (r.randint(0, 399),)


def _span(most: int, shape: float) -> Parameters:
    """Return a range whose length has a heavy tail."""

    def parameters(r: random.Random, _: float) -> tuple[object, ...]:
        begins = r.randint(1, ROWS)
        return begins, begins + min(most, int(10 * r.paretovariate(shape)))

    return parameters


def _two_classes(r: random.Random, _: float) -> tuple[object, ...]:
    begins = r.randint(1, ROWS)
    return begins, begins + (2_000 if r.random() < 0.1 else 10)


def _by_hour(r: random.Random, hour: float) -> tuple[object, ...]:
    """Return a range that is longer in the evening: rows a call follow the hour."""
    begins = r.randint(1, ROWS // 2)
    return begins, begins + int(200 * (1.2 + hour))


def _update(r: random.Random, _: float) -> tuple[object, ...]:
    return r.randint(1, 1_000), r.randint(1, ROWS)


def _event(r: random.Random, _: float) -> tuple[object, ...]:
    return r.randint(1, ROWS), r.randint(0, 999)


SHAPES: tuple[Shape, ...] = (
    Shape("SELECT * FROM items_{s} WHERE id = %s", _id, 4),
    Shape("SELECT note FROM items_{s} WHERE kind = %s", _kind, 2),
    Shape("SELECT count(*) FROM items_{s} WHERE kind = %s AND price > 100", _kind, 2),
    Shape("SELECT sum(price) FROM items_{s} WHERE id BETWEEN %s AND %s", _span(ROWS, 1.1), 2),
    Shape(
        "SELECT avg(price), max(note) FROM items_{s} WHERE id BETWEEN %s AND %s",
        _span(ROWS, 1.5),
        2,
    ),
    Shape("SELECT min(note) FROM items_{s} WHERE id BETWEEN %s AND %s", _two_classes, 2),
    Shape("SELECT count(note) FROM items_{s} WHERE id BETWEEN %s AND %s", _by_hour, 2),
    Shape("SELECT kind, count(*) FROM items_{s} GROUP BY kind", _none),
    Shape("SELECT * FROM items_{s} ORDER BY price DESC LIMIT 10", _none),
    Shape("SELECT * FROM items_{s} ORDER BY placed DESC LIMIT 20", _none),
    Shape("SELECT count(*) FROM items_{s} WHERE note LIKE '%%abc%%'", _none),
    Shape("SELECT count(*) FROM items_{s} WHERE extra @> '{{\"a\": 7}}'", _none),
    Shape("SELECT e.* FROM events_{s} e WHERE item = %s", _id, 3),
    Shape(
        "SELECT i.id, count(*) FROM items_{s} i JOIN events_{s} e ON e.item = i.id WHERE i.kind = %s GROUP BY i.id",
        _kind,
        1,
    ),
    Shape("SELECT sum(amount) FROM events_{s} WHERE item BETWEEN %s AND %s", _span(ROWS, 1.2), 1),
    Shape("SELECT max(at) FROM events_{s} WHERE item = %s", _id, 2),
    Shape("SELECT count(*) FROM events_{s}", _none),
    Shape("SELECT amount, count(*) FROM events_{s} GROUP BY amount ORDER BY 2 DESC LIMIT 5", _none),
    Shape("SELECT exists (SELECT FROM events_{s} e WHERE e.item = %s)", _id, 2),
    Shape(
        "SELECT i.* FROM items_{s} i WHERE NOT EXISTS (SELECT FROM events_{s} e WHERE e.item = i.id) AND kind = %s",
        _kind,
        1,
    ),
    Shape("UPDATE items_{s} SET price = price + %s / 1000.0 WHERE id = %s", _update, 2),
    Shape("UPDATE events_{s} SET amount = 999 - amount WHERE item = %s", _id, 1),
    Shape("INSERT INTO events_{s} (item, at, amount) VALUES (%s, now(), %s)", _event, 3),
    Shape(
        "DELETE FROM events_{s} WHERE id = (SELECT min(id) FROM events_{s} WHERE item = %s)", _id, 1
    ),
    Shape(
        "SELECT string_agg(note, ',' ORDER BY id) FROM items_{s} WHERE id BETWEEN %s AND %s",
        _span(3_000, 1.3),
        1,
    ),
)
