"""Examples of what rose since the runs before."""

from datetime import UTC, datetime

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.rows import LevelShift, ShiftCause, StatementShift

BASE = datetime(2026, 3, 2, tzinfo=UTC)
CURRENT = datetime(2026, 3, 30, tzinfo=UTC)
ENDS = datetime(2026, 3, 31, tzinfo=UTC)


def statement_shift(query_id: int) -> StatementShift:
    """Return a statement that became slower, and an index that is gone."""
    cause = ShiftCause(
        kind="index",
        what="dropped",
        name="orders_customer",
        schema="public",
        table="orders",
        aspect="definition",
        before="btree (customer)",
        after="",
        ddl="CREATE INDEX orders_customer ON public.orders USING btree (customer)",
        at=CURRENT,
    )
    return StatementShift(
        query_id=query_id,
        outcome="regressed",
        is_regressed=True,
        grade="B",
        ratio=3.0,
        p_value=0.0001,
        ms_before=1.0,
        ms_after=3.0,
        extra_ms=90_000.0,
        load_share=0.2,
        base_intervals=100,
        current_intervals=24,
        base_calls=10_000.0,
        current_calls=2_400.0,
        blocks_ratio=3.0,
        rows_ratio=1.0,
        temp_before=0.0,
        temp_after=5.0,
        is_new_plan=False,
        server_ratio=1.4,
        is_server_slower=True,
        base_begins=BASE,
        current_begins=CURRENT,
        current_ends=ENDS,
        causes=(cause,),
        compared=("version", "setting", "index"),
    )


def level_shifts(snapshot: Snapshot) -> tuple[LevelShift, ...]:
    """Return an amount of each kind that rose."""
    table = snapshot.tables[0].oid
    kinds = (
        ("table_writes", table),
        ("table_seq_rows", table),
        ("wal_position", 0),
        ("connections", 0),
    )
    return tuple(
        LevelShift(kind, oid, 5.0, 1e-5, 1e9, 5e9, 100, 24, BASE, CURRENT, ENDS)
        for kind, oid in kinds
    )
