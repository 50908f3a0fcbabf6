"""How much the statements of an action read."""

import pytest

from pgwatch_wed.facts import Index, Snapshot
from pgwatch_wed.findings import Remedy
from pgwatch_wed.remedies.actions.step_sizes import read_bytes
from pgwatch_wed.render.plan_words import PlanLine
from tests.plans import INDEX, action
from tests.reports import blank, server
from tests.test_action_plan import table

HEAP = 9_000 * 8192
"""Of one table; a partition has as many."""
HERE = Snapshot(
    tool_version="0",
    server=server(),
    tables=(
        table(1, "orders", all_frozen_pages=4_000, toast_pages=500),
        table(2, "parts", kind="p", pages=0, rows=-1.0),
        table(3, "parts_1", parent_oid=2, is_partition=True),
        table(4, "parts_2", parent_oid=2, is_partition=True),
        table(5, "new", rows=-1.0, pages=0),
        table(6, "large", pages=1_000_000),
    ),
    indexes=(
        blank(Index, oid=11, table_oid=1, schema="public", name="one", pages=1_000),
        blank(Index, oid=12, table_oid=1, schema="public", name="two", pages=2_000),
        blank(Index, oid=13, table_oid=5, schema="public", name="three", pages=1),
    ),
)


@pytest.mark.parametrize(
    ("sql", "size"),
    [
        ("CREATE INDEX i ON public.orders (a);", HEAP),
        ("CREATE INDEX CONCURRENTLY i ON public.orders (a);", 2 * HEAP),
        ("CREATE INDEX i ON public.parts (a);", 2 * HEAP),
        ("CREATE INDEX i ON ONLY public.parts (a);", 0),
        ("CREATE INDEX i ON public.new (a);", None),
        ("CREATE INDEX i ON public.gone (a);", None),
        ("DROP INDEX CONCURRENTLY public.one;", 0),
        ("REINDEX INDEX CONCURRENTLY public.one;", 2 * HEAP),
        ("REINDEX TABLE public.orders;", 2 * HEAP),
        ("REINDEX INDEX public.gone;", None),
        ("REINDEX SCHEMA public;", None),
        ("VACUUM public.orders;", (5_000 + 500 + 3_000) * 8192),
        ("VACUUM FULL public.orders;", (9_000 + 500) * 8192),
        ("VACUUM;", None),
        ("VACUUM (ANALYZE) public.new;", None),
        ("ANALYZE public.new;", None),
        ("REINDEX INDEX public.three;", None),
        ("ANALYZE public.orders;", HEAP),
        ("ANALYZE public.large;", 300 * 100 * 8192),
        ("VACUUM (ANALYZE) public.parts;", 2 * HEAP + 2 * HEAP),
        ("ALTER TABLE public.orders ALTER a SET NOT NULL;", HEAP),
        ("ALTER TABLE public.orders ALTER a TYPE bigint, ALTER b TYPE bigint;", HEAP),
        ("ALTER TABLE public.orders ADD CHECK (a > 0);", HEAP),
        ("ALTER TABLE public.orders ADD CONSTRAINT c CHECK (a > 0) NOT VALID;", 0),
        ("ALTER TABLE public.orders VALIDATE CONSTRAINT c;", HEAP),
        ("ALTER TABLE public.orders ADD FOREIGN KEY (a) REFERENCES public.parts (a);", 3 * HEAP),
        ("ALTER TABLE public.orders ADD PRIMARY KEY (a);", HEAP),
        ("ALTER TABLE public.orders ADD PRIMARY KEY USING INDEX one;", 0),
        ("ALTER SYSTEM SET work_mem = '8MB';", 0),
        ("CLUSTER public.orders USING one;", None),
        ("no SQL", None),
        ("DROP INDEX public.one; CREATE INDEX i ON public.orders (a);", HEAP),
    ],
)
def test_what_a_statement_reads(sql: str, size: int | None) -> None:
    assert read_bytes(HERE, [Remedy(sql, "none")]) == size


@pytest.mark.parametrize(("version", "size"), [(130000, None), (140000, 0)])
def test_no_pages_may_mean_that_nobody_has_counted(version: int, size: int | None) -> None:
    old = Snapshot("0", server(version_num=version), tables=(table(1, "t", pages=0, rows=0.0),))
    for sql in ("VACUUM public.t;", "CREATE INDEX ON public.t (a);"):
        assert read_bytes(old, [Remedy(sql, "none")]) == size


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((3_221_225_472,), "3 GB"),
        ((62_914_560, 62_914_560), "120 MB"),
        ((3_221_225_472, None), "at least 3 GB"),
        ((8_192,), None),
        ((None,), None),
    ],
)
def test_a_line_says_how_much_it_reads_if_that_takes_long(
    sizes: tuple[int | None, ...], said: str | None
) -> None:
    line = PlanLine("Index", tuple(action(INDEX, reads_bytes=size) for size in sizes))
    assert dict(line.facts).get("reads") == said
