"""What happens on which day, and how often each statement is executed: the truth that reports are held to."""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psycopg

from tests.rules.waiting import eventually
from tests.year.place import Place

SCHEMA = """
create extension pg_stat_statements;
create table orders (id int generated always as identity primary key, customer int not null, note text not null, amount int not null);
create index orders_customer on orders (customer);
create table accounts (id int primary key, balance int not null) with (fillfactor = 50);
create table events (id int, at_day int not null);
create table log (id int not null, at_day int not null) partition by range (at_day);
create table log_0 partition of log for values from (0) to (1000);
insert into orders (customer, note, amount) select g % 500, repeat('n', 60), g % 100 from generate_series(1, 20000) g;
insert into accounts select g, 0 from generate_series(1, 500) g;
vacuum analyze;
"""

# What is executed, by a name; each text is what the server makes of it, on every major.
LOOK_UP = "select note from orders where id = {}"
BY_CUSTOMER = "select count(*), sum(amount) from orders where customer = {}"
REPORT = "select sum(amount) from accounts a join orders o on o.id = a.id where a.balance >= {}"
UPDATE = "update accounts set balance = balance + 1 where id = {}"
GROW = "insert into orders (customer, note, amount) select g, repeat('n', 60), 1 from generate_series(1, {}) g"
EVENT = "insert into events values ({}, 1)"
DAILY: Mapping[str, int] = {
    LOOK_UP: 40,
    BY_CUSTOMER: 30,
    REPORT: 4,
    UPDATE: 30,
    EVENT: 10,
}
ROWS_A_DAY = 120
ROWS_AT_FIRST = 20_000

Action = Callable[[Place], None]


def sql(*statements: str) -> Action:
    """Return an action that executes statements."""

    def act(place: Place) -> None:
        with psycopg.connect(place.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    return act


def forget_one(place: Place) -> None:
    """Reset one statement's counters."""
    query = (
        "select pg_stat_statements_reset(0, 0, queryid) from pg_stat_statements where query like %s"
    )
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute(query, ["%where customer = $1"])


def evict(place: Place) -> None:
    """Execute more statements than pg_stat_statements has room for."""
    with psycopg.connect(place.dsn, autocommit=True, prepare_threshold=None) as connection:
        for number in range(600):
            for _ in range(20 if number < 450 else 1):
                connection.execute(f"select 1 as other_{number}".encode())


EVENTS: Mapping[int, tuple[str, Action]] = {
    2: ("clean restart", lambda place: place.restart()),
    3: ("crash of one backend", lambda place: place.kill_a_backend()),
    4: ("immediate stop", lambda place: place.stop_at_once()),
    5: ("reset of one statement", forget_one),
    6: (
        "reset of one table",
        sql("select pg_stat_reset_single_table_counters('events'::regclass)"),
    ),
    7: ("reset of all", sql("select pg_stat_reset()")),
    8: ("reset of all statements", sql("select pg_stat_statements_reset()")),
    9: ("eviction", evict),
    10: (
        "DDL",
        sql(
            "drop table events",
            "create table events (id int, at_day int not null)",
            "create table log_1 (id int not null, at_day int not null)",
            "alter table log attach partition log_1 for values from (1000) to (2000)",
        ),
    ),
    28: ("deploy", sql("drop index orders_customer")),
    33: ("useless index", sql("create index orders_note on orders (note)")),
    36: ("good index", sql("create index orders_by_customer on orders (customer)")),
    40: ("harmful index", sql("create index accounts_balance on accounts (balance)")),
    44: ("purge", sql("delete from orders where id > 22000", "vacuum analyze orders")),
    46: ("upgrade", lambda place: place.upgrade()),
}
EVENTS_ALONE = 11
"""On this day, everything that happens to counters has happened, but for the upgrade."""

ADVISED = 31
"""On this day the index advisor runs: the one that the deploy dropped is missing."""

LAST_DAY = 50


def day_of(event: str) -> int:
    """Return the day on which something happens."""
    (found,) = [number for number, (name, _) in EVENTS.items() if name == event]
    return found


@dataclass(slots=True)
class Ledger:
    """What was done on each day."""

    calls: dict[int, Counter[str]] = field(default_factory=dict)

    def busy(self, day: int) -> float:
        """Return how busy a day is: weekends are quiet, and so is winter."""
        weekly = 0.5 if day % 7 in (5, 6) else 1.0
        return weekly * (1 + 0.2 * math.sin(2 * math.pi * day / 365))

    def work(self, place: Place, day: int) -> None:
        """Do what is done on a day, and wait until the server has reported it."""
        done = Counter({text: max(round(n * self.busy(day)), 1) for text, n in DAILY.items()})
        done[GROW] = 1
        with psycopg.connect(place.dsn, autocommit=True, prepare_threshold=None) as connection:
            pid = connection.info.backend_pid
            for text, times in done.items():
                for number in range(times):
                    value = round(ROWS_A_DAY * self.busy(day)) if text == GROW else number + 1
                    connection.execute(text.format(value).encode())
        self.calls[day] = done
        eventually(lambda: is_gone(place, pid))


def is_gone(place: Place, pid: int) -> bool:
    """Tell whether a session has ended, and thus reported what it did."""
    with psycopg.connect(place.dsn) as connection:
        query = "select count(*) from pg_stat_activity where pid = %s"
        row = connection.execute(query, [pid]).fetchone()
    return row is not None and row[0] == 0
