"""No rule raises on any snapshot, the order of facts does not matter, files give back what they got."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from types import UnionType
from typing import Any, get_args, get_origin

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pgwatch_wed.analyse import analyse, judge
from pgwatch_wed.config import Config
from pgwatch_wed.errors import DeltaError
from pgwatch_wed.facts import Missing, Server, Snapshot, fact_names, fields
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.facts.counting import COUNTERS, Counters
from pgwatch_wed.facts.delta import delta
from pgwatch_wed.findings import Verdict
from pgwatch_wed.rules import all_rules

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MOMENTS = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone itself
    datetime(2026, 11, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
# Few values, so that tables, indexes and columns meet each other.
NUMBERS = st.one_of(st.integers(0, 4), st.integers(-1, 10**12))
WORDS = st.one_of(
    st.sampled_from(
        (
            *("r", "p", "i", "I", "a", "d", "btree", "gin", "brin", "hash", "public", "on", "off"),
            *(
                "active",
                "idle in transaction",
                "client backend",
                "integer",
                "bigint",
                "fillfactor=50",
            ),
            *("autovacuum_enabled=off", "AccessExclusiveLock", "16384", "-1", "shared_buffers"),
            "update t set a = $1 where b = $2",
            "select * from t where lower(a) = $1",
        )
    ),
    st.text(max_size=8),
)
FLOATS = st.one_of(st.sampled_from((0.0, -1.0, 0.5, 1e6)), st.floats(-1, 1e12, allow_nan=False))


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(hint, UnionType):
        return st.none() | values_of(get_args(hint)[0])
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=3).map(tuple)
    if hasattr(hint, "__dataclass_fields__"):
        return rows_of(hint)
    return {bool: st.booleans(), int: NUMBERS, float: FLOATS, str: WORDS, datetime: MOMENTS}[hint]


def rows_of(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{n: values_of(hint) for n, hint in fields.field_types(kind).items()})


SERVERS = st.builds(
    lambda server, version: replace(
        server, taken_at=NOW, version_num=version * 10_000, block_size=max(server.block_size, 1)
    ),
    rows_of(Server),
    st.integers(13, 20),
)
SNAPSHOTS = st.builds(
    Snapshot,
    tool_version=st.just("0"),
    server=SERVERS,
    missing=st.dictionaries(
        st.sampled_from(fact_names()), st.builds(Missing, WORDS, WORDS), max_size=3
    ),
    measured_since=st.none() | MOMENTS,
    **{
        name: st.lists(rows_of(kind), max_size=4).map(tuple)
        for name, kind in fields.fact_types().items()
    },
)
EASY = settings(
    max_examples=40,
    deadline=None,
    # shrinking a whole snapshot takes minutes; the rule's name and its traceback say enough
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(EASY, max_examples=100)
@given(snapshot=SNAPSHOTS)
def test_no_rule_raises_on_any_snapshot(snapshot: Snapshot) -> None:
    for rule in all_rules():
        try:
            verdict, findings = judge(rule, snapshot, Config())
        except Exception as error:
            raise AssertionError(f"{rule.id} raised {error!r}") from error
        assert bool(findings) == (verdict.verdict is Verdict.FINDING)
        assert verdict.verdict is not Verdict.UNKNOWN or verdict.reason, rule.id
        assert all(f.title and f.detail for f in findings), rule.id


@settings(EASY, max_examples=20)
@given(snapshot=SNAPSHOTS, seed=st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(snapshot: Snapshot, seed: Any) -> None:
    facts: dict[str, Any] = {n: _distinct(getattr(snapshot, n)) for n in fact_names()}
    distinct = replace(snapshot, **facts)
    shuffled: dict[str, Any] = {n: tuple(seed.sample(rows, len(rows))) for n, rows in facts.items()}
    other = replace(distinct, **shuffled)
    one, two = analyse([distinct], Config()), analyse([other], Config())
    assert [(v.rule, v.verdict) for v in one.verdicts] == [
        (v.rule, v.verdict) for v in two.verdicts
    ]
    assert sorted(f.id for f in one.findings) == sorted(f.id for f in two.findings)


@settings(EASY, max_examples=20)
@given(new=SNAPSHOTS, seed=st.integers(0, 1_000_000))
def test_a_difference_is_never_negative(new: Snapshot, seed: int) -> None:
    """Counters that rose, fell, came and went."""
    random = Random(seed)
    server = replace(new.server, taken_at=NOW + timedelta(days=1), system_identifier="1")
    single: dict[str, Any] = {
        name: tuple(counters.by_key(getattr(new, name)).values())
        for name, counters in COUNTERS.items()
    }
    new = replace(new, server=server, settings=(), missing={}, **single)
    earlier: dict[str, Any] = {
        name: tuple(
            _otherwise(row, counters, random) for row in getattr(new, name) if random.random() < 0.8
        )
        for name, counters in COUNTERS.items()
    }
    old = replace(new, server=replace(server, taken_at=NOW), **earlier)
    try:
        found = delta(old, new)
    except DeltaError:
        # an older copy, as far as the database's own counters tell
        assert old.database is not None
        assert COUNTERS["databases"].fell(old.database, new.database)
        return
    for name, counters in COUNTERS.items():
        possible = {
            counters.key_of(row) for row in getattr(new, name) if _is_possible(counters, row)
        }
        for row in getattr(found, name):
            assert counters.key_of(row) not in possible or _is_possible(counters, row)
    assert all(share.known <= share.rows for share in found.delta_coverage)


def _otherwise(row: Any, counters: Counters, random: Random) -> Any:
    changed = {
        name: max(value + random.choice((-3, 0, 0, 0, 5)), 0)
        for name in counters.fields
        if (value := getattr(row, name)) is not None
    }
    return replace(row, **changed)


def _is_possible(counters: Counters, row: Any) -> bool:
    return all((getattr(row, name) or 0) >= 0 for name in counters.fields)


def _distinct(rows: tuple[Any, ...]) -> tuple[Any, ...]:
    """Keep one row a key: no server gives two tables of one oid."""
    found: dict[Any, Any] = {}
    for row in rows:
        found.setdefault(_key(row), row)
    return tuple(found.values())


def _key(row: Any) -> Any:
    for names in (
        ("table_oid", "attnum"),
        ("index_oid",),
        ("oid",),
        ("pid",),
        ("query_id",),
        ("name",),
    ):
        if all(hasattr(row, n) for n in names):
            return tuple(getattr(row, n) for n in names)
    return 0  # one row of each other kind


@EASY
@given(snapshot=SNAPSHOTS)
def test_a_snapshot_file_gives_back_what_it_got(snapshot: Snapshot) -> None:
    data = snapshot_file.dumps(snapshot)
    assert snapshot_file.loads(data) == snapshot
    assert snapshot_file.dumps(snapshot_file.loads(data)) == data
