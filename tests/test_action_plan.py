"""The plan: one action an object, nothing twice, nothing that contradicts, in an order in which it can be run."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.facts import (
    Column,
    ColumnDependent,
    Constraint,
    Index,
    IndexDefinition,
    LockWait,
    MissingIndex,
    Session,
    Setting,
    Snapshot,
    Table,
    TableActivity,
    file,
)
from pgwatch_wed.findings import (
    Action,
    ActionPlan,
    ActionStage,
    Finding,
    Impact,
    MeasuredTime,
    Object,
    Remedy,
)
from pgwatch_wed.remedies import sessions, settings
from pgwatch_wed.remedies.actions import action_plan
from pgwatch_wed.remedies.actions.action_gains import gain_of
from pgwatch_wed.remedies.actions.renames import renamed
from pgwatch_wed.render.json_v1 import render
from tests.reports import NOW, blank, finding, server

SCHEMA = Path(__file__).parent.parent / "docs" / "report.schema.json"
EXAMPLE = Path(__file__).parent.parent / "reports" / "example" / "shop.json.zst"
ORDERS, PARENT = 1, 2
NAMES = "id", "a", "b", "c", "email"


# Snapshots and what rules find in them


def columns(table: int) -> tuple[Column, ...]:
    return tuple(
        blank(
            Column,
            table_oid=table,
            attnum=number,
            name=name,
            type="integer",
            base_type="int4",
            length=4,
        )
        for number, name in enumerate(NAMES, 1)
    )


def index(oid: int, name: str, keys: str, **more: object) -> Index:
    """An index of orders; ``keys`` as in CREATE INDEX."""
    numbers = [NAMES.index(k) + 1 for k in keys.split()]
    plain: dict[str, object] = {
        "oid": oid,
        "table_oid": ORDERS,
        "schema": "public",
        "name": name,
        "kind": "i",
        "access_method": "btree",
        "pages": 1_000,
        "columns": numbers,
        "key_count": len(numbers),
        "opclasses": [1978] * len(numbers),
        "opclass_names": ["int4_ops"] * len(numbers),
        "collations": [0] * len(numbers),
        "indoptions": [0] * len(numbers),
        "depends_on": numbers,
        **dict.fromkeys(("is_immediate", "is_valid", "is_ready", "is_live"), True),
    }
    return blank(Index, **(plain | more))


def definition(each: Index) -> IndexDefinition:
    keys = ", ".join(NAMES[n - 1] for n in each.columns)
    unique = "UNIQUE " if each.is_unique else ""
    text = f"CREATE {unique}INDEX {each.name} ON public.orders USING btree ({keys})"
    return blank(IndexDefinition, oid=each.oid, definition=text)


def table(oid: int, name: str, **more: object) -> Table:
    plain: dict[str, object] = {"kind": "r", "pages": 9_000, "rows": 1e6, "replica_identity": "d"}
    return blank(Table, oid=oid, schema="public", name=name, **(plain | more))


def foreign_key(*names: str) -> Constraint:
    numbers = [NAMES.index(n) + 1 for n in names]
    return blank(
        Constraint,
        oid=70 + numbers[0],
        schema="public",
        name=f"orders_{'_'.join(names)}_fkey",
        table_oid=ORDERS,
        kind="f",
        columns=numbers,
        referenced_oid=PARENT,
        referenced_columns=numbers,
        is_enforced=True,
        is_validated=True,
    )


def advice(name: str, keys: str, queries: Sequence[int] = (1,), **more: object) -> MissingIndex:
    plain: dict[str, object] = {
        "name": name,
        "ddl": f"CREATE INDEX {name} ON public.orders USING btree ({keys})",
        "schema": "public",
        "table": "orders",
        "columns": keys.split(", "),
        "method": "btree",
        "size_bytes": 1_000_000,
        "cost_before": 1_000.0,
        "cost_after": 600.0,
        "query_ids": list(queries),
        "saved_ms": [400.0 / len(queries)] * len(queries),
        "engine": "lab",
    }
    return blank(MissingIndex, **(plain | more))


def snapshot(indexes: Sequence[Index] = (), **more: object) -> Snapshot:
    """A database with a table of orders, which have parents."""
    facts: dict[str, object] = {
        "tables": (table(ORDERS, "orders"), table(PARENT, "parents")),
        "columns": (*columns(ORDERS), *columns(PARENT)),
        "indexes": tuple(indexes),
        "index_definitions": tuple(map(definition, indexes)),
        "table_activity": (blank(TableActivity, oid=ORDERS, seq_scan=1, n_tup_ins=9),),
    }
    given = facts | more
    return Snapshot(tool_version="0", server=server(now=NOW.isoformat()), **given)  # type: ignore[arg-type]


RULES = (
    *("index-duplicate", "index-redundant", "index-unused", "index-missing", "index-missing-fk"),
    *("index-invalid", "index-too-many"),
)


def found(here: Snapshot, *more: Finding) -> tuple[list[Finding], ActionPlan]:
    """What the rules find, and others, and the plan for all of it."""
    limits = {"only": [*RULES], "window": 0}
    report = analyse([here], parse(limits, "here"))
    findings = [*report.findings, *more]
    return findings, action_plan(findings, [here])


def sql(plan: ActionPlan) -> list[str]:
    return [step.sql for action in plan.actions for step in action.statements]


def action_with(plan: ActionPlan, text: str) -> Action:
    return next(a for a in plan.actions if any(text in s.sql for s in a.statements))


def rules_closed(findings: Sequence[Finding], action: Action) -> list[str]:
    rules = {f.id: f.rule for f in findings}
    return sorted(rules[i] for i in action.closes)


def said(rule: str, about: Object, *remedies: Remedy, **more: object) -> Finding:
    given: dict[str, object] = {"impact": Impact(), **more}
    return finding(0, object=about, rule=rule, remedy=remedies, **given)


# What every plan keeps to


def keeps_its_word(findings: Sequence[Finding], plan: ActionPlan) -> None:
    """Each finding is closed by one action, or is not planned with a reason; nothing is run twice."""
    closed = [i for a in plan.actions for i in a.closes]
    left = [n.id for n in plan.not_planned]
    assert sorted([*closed, *left]) == sorted(f.id for f in findings)
    assert all(n.reason.endswith(".") for n in plan.not_planned)
    stages = [list(ActionStage).index(a.stage) for a in plan.actions]
    assert stages == sorted(stages)
    scripted = [a for a in plan.actions if not a.by_hand]
    texts = [(a.database, s.sql) for a in scripted for s in a.statements]
    assert len(texts) == len(set(texts))
    assert all(a.statements and a.closes for a in plan.actions)


@pytest.fixture(scope="module")
def example() -> tuple[Snapshot, list[Finding], ActionPlan]:
    here = file.load(EXAMPLE)
    report = analyse([here], parse({"window": 0}, "here"))
    assert action_plan(report.findings, [here]) == report.plan
    return here, [*report.findings], report.plan


def test_the_example(example: tuple[Snapshot, list[Finding], ActionPlan]) -> None:
    _, findings, plan = example
    keeps_its_word(findings, plan)
    closed = [rules_closed(findings, a) for a in plan.actions]
    assert ["index-missing", "index-missing-fk"] in closed
    assert ["index-missing", "query-function-on-column"] in closed
    assert ["index-blocks-hot", "index-unused"] in closed
    assert ["lock-blocked", "lock-idle-in-transaction"] in closed
    assert ["analyze-stale", "vacuum-dead-tuples", "vacuum-disabled", "vacuum-never"] in closed
    scripted = [s.sql for a in plan.actions if not a.by_hand for s in a.statements]
    assert sum("pg_reload_conf" in text for text in scripted) == 1
    assert not [text for text in scripted if "statement_timeout" in text]  # of backups, too
    assert plan.cost_share == pytest.approx(0.626, abs=0.001)
    assert plan.gain.ms_per_day is None  # its counters cover less than a minute
    assert plan.gain.share_of_load == pytest.approx(0.494, abs=0.001)
    reasons = {n.id: n.reason for n in plan.not_planned}
    top = [reasons[f.id] for f in findings if f.rule == "query-top-time"]
    assert any("orders_customer_id_total_placed_at_idx" in reason for reason in top)


def test_the_document_has_the_plan(
    example: tuple[Snapshot, list[Finding], ActionPlan],
) -> None:
    here, _, plan = example
    whole = analyse([here], parse({"window": 0}, "here"))
    document = json.loads(render(whole))
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [a["action"] for a in document["plan"]] == [a.title for a in plan.actions]
    assert document["plan"][0]["statements"][0]["sql"] == plan.actions[0].statements[0].sql
    assert len(document["not_planned"]) == len(plan.not_planned)
    assert document["plan_gain"]["cost_share"] == pytest.approx(plan.cost_share, abs=1e-6)


# Indexes


def test_a_wider_index_serves_the_foreign_key() -> None:
    here = snapshot(constraints=(foreign_key("a"),), missing_indexes=(advice("wide", "a, b"),))
    fk = said(
        "index-missing-fk",
        Object("constraint", "orders_a_fkey", "shop", "public", "orders"),
        Remedy(
            "CREATE INDEX CONCURRENTLY orders_a_idx ON public.orders (a);",
            undo="DROP INDEX CONCURRENTLY public.orders_a_idx;",
        ),
    )
    findings, plan = found(replace(here, constraints=()), fk)
    plan = action_plan(findings, [here])
    keeps_its_word(findings, plan)
    assert [a.object.name for a in plan.actions] == ["wide"]
    assert rules_closed(findings, plan.actions[0]) == ["index-missing", "index-missing-fk"]


def test_columns_of_a_foreign_key_may_be_in_any_order_but_only_in_all_rows() -> None:
    about = Object("constraint", "orders_a_b_fkey", "shop", "public", "orders")
    fk = said("index-missing-fk", about, Remedy("CREATE INDEX k ON public.orders (a, b);"))
    for keys, served in (("b, a, c", True), ("b, a) WHERE (c > 0", False), ("b, c, a", False)):
        here = snapshot(constraints=(foreign_key("a", "b"),), missing_indexes=(advice("w", keys),))
        findings, _ = found(replace(here, constraints=()), fk)
        plan = action_plan(findings, [here])
        assert len(plan.actions) == (1 if served else 2), keys


def test_the_rules_own_foreign_key_advice_is_one_with_the_advisors() -> None:
    here = snapshot(constraints=(foreign_key("a"),), missing_indexes=(advice("wide", "a, b"),))
    findings, plan = found(here)
    keeps_its_word(findings, plan)
    assert len(findings) == 2
    assert len(plan.actions) == 1


def test_a_name_for_two_indexes_is_given_once_also_in_the_undo() -> None:
    one, other = (
        said(
            "query-function-on-column",
            Object("statement", number, "shop"),
            Remedy(
                f"CREATE INDEX CONCURRENTLY orders_lower_idx ON public.orders ((lower({column})));",
                in_transaction=False,
                undo="DROP INDEX CONCURRENTLY public.orders_lower_idx;",
            ),
        )
        for number, column in (("1", "email"), ("2", "orders_lower_idx"))
    )
    plan = action_plan([one, other], [snapshot()])
    first, second = plan.actions
    assert first.statements == one.remedy
    assert second.statements[0].sql == (
        "CREATE INDEX CONCURRENTLY orders_lower_idx1 ON public.orders ((lower(orders_lower_idx)));"
    )
    assert second.undo == ("DROP INDEX CONCURRENTLY public.orders_lower_idx1;",)
    assert second.object.name == "orders_lower_idx1"
    assert "orders_lower_idx1" in second.title


def test_only_names_of_indexes_are_changed() -> None:
    script = (
        'CREATE INDEX "I x" ON "I x"."I x" ("I x");\nALTER INDEX s."I x" ATTACH PARTITION s.p;\n'
        'DROP INDEX "I x"."I x";\nALTER TABLE "I x" RESET (fillfactor);\n-- "I x"'
    )
    assert renamed(script, {"I x": "é"}) == (
        'CREATE INDEX "é" ON "I x"."I x" ("I x");\nALTER INDEX s."é" ATTACH PARTITION s.p;\n'
        'DROP INDEX "I x"."é";\nALTER TABLE "I x" RESET (fillfactor);\n-- "I x"'
    )


def test_what_other_advisors_were_told() -> None:
    """Both of two unique copies were to be dropped; the index of a foreign key, although a wider one serves it."""
    unique = [index(n, f"thread_root_{n}", "a", is_unique=True) for n in (11, 12)]
    _, plan = found(snapshot(unique))
    assert len(sql(plan)) == 1
    pair = [index(11, "account", "a"), index(12, "account_and_date", "a b")]
    _, plan = found(snapshot(pair, constraints=(foreign_key("a"),)))
    assert sql(plan) == ["DROP INDEX CONCURRENTLY public.account;"]


def test_an_index_is_dropped_once_and_not_rebuilt_before() -> None:
    here = snapshot([index(11, "one", "a"), index(12, "two", "a")])
    about = Object("index", "two", "shop", "public", "orders")
    bloated = said(
        "index-bloat",
        about,
        Remedy("REINDEX INDEX CONCURRENTLY public.two;"),
        impact=Impact(bytes=9),
    )
    findings, plan = found(here, bloated)
    keeps_its_word(findings, plan)
    assert [s for s in sql(plan) if "two" in s] == ["DROP INDEX CONCURRENTLY public.two;"]
    drop = action_with(plan, "two")
    assert {"index-bloat", "index-duplicate"} <= set(rules_closed(findings, drop))
    assert drop.gain.bytes == 1_000 * 8192  # not also what rebuilding would have saved


def test_of_two_drops_that_rely_on_each_other_one_is_left() -> None:
    here = snapshot([index(11, "keeper", "a"), index(12, "copy", "a")])
    unused = said(
        "index-blocks-hot",
        Object("index", "keeper", "shop", "public", "orders"),
        Remedy(
            "DROP INDEX CONCURRENTLY public.keeper;",
            undo="CREATE INDEX keeper ON public.orders USING btree (a);",
        ),
    )
    findings, plan = found(here, unused)
    keeps_its_word(findings, plan)
    assert sql(plan) == ["DROP INDEX CONCURRENTLY public.copy;"]
    (left,) = plan.not_planned
    assert left.id == unused.id
    assert "it replaces copy, which is dropped" in left.reason
    # in the other order
    plan = action_plan([unused, *findings[:-1]], [here])
    assert sql(plan) == ["DROP INDEX CONCURRENTLY public.keeper;"]
    assert "keeper, which replaces it, is dropped" in plan.not_planned[0].reason
    # a third one serves both
    here = snapshot([*here.indexes, index(13, "third", "a b")])
    findings, _ = found(here)
    plan = action_plan([*findings, unused], [here])
    assert {"copy", "keeper"} <= {a.object.name for a in plan.actions}
    assert "third" not in {a.object.name for a in plan.actions}


def drop_of(name: str, rule: str = "index-unused") -> Finding:
    return said(
        rule,
        Object("index", name, "shop", "public", "orders"),
        Remedy(
            f"DROP INDEX CONCURRENTLY public.{name};", undo=f"CREATE INDEX {name} ON orders (a);"
        ),
    )


def test_a_foreign_key_keeps_its_only_index() -> None:
    here = snapshot([index(11, "only", "a")], constraints=(foreign_key("a"),))
    plan = action_plan([drop_of("only")], [here])
    assert plan.actions == ()
    assert "no other index serves the foreign key orders_a_fkey" in plan.not_planned[0].reason
    # an index that is going to be created serves it
    wide = said(
        "index-missing",
        Object("index", "wide", "shop", "public", "orders"),
        Remedy("CREATE INDEX CONCURRENTLY wide ON public.orders USING btree (a, b);"),
    )
    plan = action_plan([drop_of("only"), wide], [here])
    assert [a.object.name for a in plan.actions] == ["wide", "only"]  # created first


def test_what_another_action_names_is_not_dropped() -> None:
    here = snapshot([index(11, "ident", "a"), index(12, "part", "b")])
    identity = said(
        "schema-no-replica-identity",
        Object("table", "orders", "shop", "public", "orders"),
        Remedy("ALTER TABLE public.orders REPLICA IDENTITY USING INDEX ident;"),
    )
    attached = said(
        "index-incomplete",
        Object("index", "whole", "shop", "public", "orders"),
        Remedy("ALTER INDEX public.whole ATTACH PARTITION public.part;"),
    )
    plan = action_plan([drop_of("ident"), drop_of("part"), identity, attached], [here])
    parted = snapshot(
        [index(11, "mine", "a")],
        tables=(table(ORDERS, "orders", parent_oid=9), table(9, "whole", kind="p")),
    )
    above = said(
        "index-missing",
        Object("index", "new", "shop", "public", "whole"),
        Remedy("CREATE INDEX new ON public.whole USING btree (a);"),
    )
    assert "uses it" in action_plan([drop_of("mine"), above], [parted]).not_planned[0].reason
    assert [n.reason.partition(" (")[0] for n in plan.not_planned] == [
        "public.ident has to stay for now: what schema-no-replica-identity",
        "public.part has to stay for now: what index-incomplete",
    ]


def test_what_a_plan_with_new_indexes_uses_is_not_dropped() -> None:
    tree = '[{"Plan": {"Plans": [{"Index Name": "other"}, {"Index Name": "new"}]}}]'
    here = snapshot([index(11, "other", "b")], missing_indexes=(advice("new", "a", trees=[tree]),))
    plan = action_plan([drop_of("other")], [here])
    assert "the plan with the new index new uses it" in plan.not_planned[0].reason


def test_an_index_goes_with_those_of_partitions_only_if_these_can_be_spared() -> None:
    parted = {"tables": (table(ORDERS, "orders", parent_oid=9), table(9, "whole", kind="p"))}
    whole = index(21, "whole_ab", "a b", table_oid=9, kind="I")
    part = index(22, "part_ab", "a b", parent_oid=21)
    drop = said(
        "index-unused",
        Object("index", "whole_ab", "shop", "public", "whole"),
        Remedy("DROP INDEX public.whole_ab;", undo="CREATE INDEX whole_ab ON whole (a, b);"),
    )
    here = snapshot([whole, part, index(11, "own_a", "a")], **parted)
    own = drop_of("own_a", "index-redundant")
    plan = action_plan([own, drop], [here])
    assert sql(plan) == ["DROP INDEX CONCURRENTLY public.own_a;"]
    assert plan.not_planned[0].reason.startswith(
        "public.whole_ab has to stay for now because of public.part_ab: it replaces own_a"
    )
    plan = action_plan([drop, own], [here])
    assert sql(plan) == ["DROP INDEX public.whole_ab;"]
    assert "part_ab, which replaces it, is dropped" in plan.not_planned[0].reason
    # a foreign key of the partition alone, which a new index above may serve
    keyed = snapshot([whole, part], constraints=(foreign_key("a"),), **parted)
    plan = action_plan([drop], [keyed])
    assert "no other index serves the foreign key orders_a_fkey" in plan.not_planned[0].reason
    new = said(
        "index-missing",
        Object("index", "new", "shop", "public", "whole"),
        Remedy("CREATE INDEX new ON public.whole USING btree (a, c);"),
    )
    assert len(action_plan([drop, new], [keyed]).actions) == 2
    # the plan of a statement names the partition's index
    tree = '[{"Plan": {"Plans": [{"Index Name": "part_ab"}]}}]'
    used = snapshot([whole, part], missing_indexes=(advice("new", "c", trees=[tree]),), **parted)
    assert "new index new uses it" in action_plan([drop], [used]).not_planned[0].reason


def test_an_index_of_a_partition_is_not_rebuilt_before_it_is_dropped() -> None:
    parted = {"tables": (table(ORDERS, "orders", parent_oid=9), table(9, "whole", kind="p"))}
    whole = index(21, "whole_a", "a", table_oid=9, kind="I")
    here = snapshot([whole, index(22, "part_a", "a", parent_oid=21)], **parted)
    about = Object("index", "whole_a", "shop", "public", "whole")
    drop = Remedy("DROP INDEX public.whole_a;", undo="CREATE INDEX whole_a ON whole (a);")
    rebuild = said(
        "index-bloat",
        Object("index", "part_a", "shop", "public", "orders"),
        Remedy("REINDEX INDEX CONCURRENTLY public.part_a;"),
    )
    findings = [rebuild, said("index-unused", about, drop)]
    plan = action_plan(findings, [here])
    keeps_its_word(findings, plan)
    assert sql(plan) == ["DROP INDEX public.whole_a;"]
    create = Remedy("CREATE INDEX whole_brin ON public.whole USING brin (a);")
    findings = [rebuild, said("index-brin", about, create, drop)]
    plan = action_plan(findings, [here])
    keeps_its_word(findings, plan)
    assert sql(plan) == [create.sql, drop.sql]


def test_an_unknown_definition_has_to_be_saved_by_hand() -> None:
    here = snapshot([index(11, "locked", "a")])
    unreadable = replace(drop_of("locked").remedy[0], undo="-- the definition could not be read")
    plan = action_plan([replace(drop_of("locked"), remedy=(unreadable,))], [here])
    assert "public.locked" in plan.actions[0].by_hand


def test_an_index_is_replaced_once_and_not_if_it_is_dropped() -> None:
    here = snapshot([index(11, "old", "a")])
    about = Object("index", "old", "shop", "public", "orders")

    def replacing(rule: str, shape: str) -> Finding:
        create = Remedy(
            f"CREATE INDEX CONCURRENTLY {rule[6:]}_idx ON public.orders {shape};",
            undo=f"DROP INDEX CONCURRENTLY public.{rule[6:]}_idx;",
        )
        return said(f"{rule}", about, create, drop_of("old").remedy[0])

    brin, partial = (
        replacing("index-brin", "USING brin (a)"),
        replacing("index-null", "(a) WHERE a > 0"),
    )
    plan = action_plan([brin, partial], [here])
    assert plan.actions[0].statements == brin.remedy
    assert plan.actions[0].undo == tuple(r.undo for r in reversed(brin.remedy))
    assert "index-brin replaces the index" in plan.not_planned[0].reason
    plan = action_plan([brin, partial, drop_of("old")], [here])
    assert sql(plan) == ["DROP INDEX CONCURRENTLY public.old;"]
    assert len(plan.actions[0].closes) == 3


# Tables


def widened(rule: str, table_: str, column: str, kind: str, *, sequence: str = "") -> Finding:
    change = f"ALTER TABLE public.{table_} ALTER COLUMN {column} TYPE"
    extra = f"\nALTER SEQUENCE public.{sequence} AS {kind};" if sequence else ""
    back = f"ALTER SEQUENCE public.{sequence} AS integer;\n" if sequence else ""
    analyze = f"ANALYZE public.{table_};"
    return said(
        rule,
        Object("column", f"{table_}.{column}", "shop", "public", table_),
        Remedy(
            f"{change} {kind};{extra}\n{analyze}",
            "ACCESS EXCLUSIVE",
            undo=f"{back}{change} integer;\n{analyze}\n-- It may fail.",
        ),
    )


def test_a_table_is_rewritten_once() -> None:
    key = said(
        "schema-no-primary-key",
        Object("table", "orders", "shop", "public", "orders"),
        Remedy(
            "ALTER TABLE public.orders ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY (row_id);",
            undo="ALTER TABLE public.orders DROP COLUMN row_id;",
        ),
    )
    clock = widened("schema-int-overflow", "orders", "a", "bigint", sequence="s")
    narrow = widened("schema-fk-type-mismatch", "orders", "a", "integer")
    other = widened("schema-fk-type-mismatch", "parents", "b", "bigint")
    findings = [narrow, clock, key, other]
    plan = action_plan(findings, [snapshot()])
    keeps_its_word(findings, plan)
    assert len(plan.actions) == 2
    assert plan.actions[0].statements[0].sql == (
        "ALTER TABLE public.orders ALTER COLUMN a TYPE bigint, "
        "ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY (row_id);\n"
        "ALTER SEQUENCE public.s AS bigint;\nANALYZE public.orders;"
    )
    assert "".join(plan.actions[0].undo) == (
        "ALTER SEQUENCE public.s AS integer;\n"
        "ALTER TABLE public.orders ALTER COLUMN a TYPE integer, DROP COLUMN row_id;\n"
        "ANALYZE public.orders;\n-- It may fail."
    )
    assert len(plan.actions[0].closes) == 3


def test_a_column_follows_the_one_that_it_refers_to() -> None:
    key = replace(foreign_key("a"), referenced_columns=(1,))
    clock = widened("schema-int-overflow", "parents", "id", "bigint")
    mismatch = widened("schema-fk-type-mismatch", "orders", "a", "integer")
    plan = action_plan([clock, mismatch], [snapshot(constraints=(key,))])
    (action,) = plan.actions
    assert "ALTER TABLE public.orders ALTER COLUMN a TYPE bigint;" in action.statements[0].sql
    assert action.title == "Change the types of public.parents.id and public.orders.a"


def test_types_of_which_none_serves_both_are_not_mixed() -> None:
    one, other = (widened(f"schema-{kind}", "orders", "a", kind) for kind in ("uuid", "bigint"))
    plan = action_plan([one, other], [snapshot()])
    assert [a.closes for a in plan.actions] == [(one.id,)]
    assert plan.not_planned[0].id == other.id


def test_a_new_key_is_the_replica_identity() -> None:
    about = Object("table", "orders", "shop", "public", "orders")
    key = said(
        "schema-no-primary-key", about, Remedy("ALTER TABLE public.orders ADD PRIMARY KEY (id);")
    )
    full = "ALTER TABLE public.{} REPLICA IDENTITY FULL;"
    identity = said("schema-no-replica-identity", about, Remedy(full.format("orders")))
    plan = action_plan([identity, key], [snapshot()])
    assert len(plan.actions) == 1
    assert set(plan.actions[0].closes) == {key.id, identity.id}
    nothing = snapshot(tables=(table(ORDERS, "orders", replica_identity="n"),))
    assert len(action_plan([identity, key], [nothing]).actions) == 2


def test_a_column_that_a_view_uses_is_changed_by_hand() -> None:
    used = blank(
        ColumnDependent, table_oid=ORDERS, attnum=2, kind="view", schema="public", name="v"
    )
    wide = widened("schema-int-overflow", "orders", "a", "bigint")
    plan = action_plan([wide], [snapshot(column_dependents=(used,))])
    assert "view public.v" in plan.actions[0].by_hand
    assert not action_plan([wide], [snapshot()]).actions[0].by_hand
    broken = index(11, "broken", "b", is_unique=True, is_valid=False)
    assert "public.broken" in action_plan([wide], [snapshot([broken])]).actions[0].by_hand


def test_maintenance_of_a_table_is_one_action() -> None:
    about = Object("table", "orders", "shop", "public", "orders")
    findings = [
        said("analyze-stale", about, Remedy("ANALYZE public.orders;")),
        said(
            "vacuum-wraparound",
            about,
            Remedy("VACUUM (FREEZE) public.orders;", in_transaction=False),
        ),
        said(
            "vacuum-trigger-too-late",
            about,
            Remedy(
                "ALTER TABLE public.orders SET (autovacuum_vacuum_scale_factor = 0.01);",
                undo="ALTER TABLE public.orders RESET (autovacuum_vacuum_scale_factor);",
            ),
        ),
        said(
            "query-misestimate",
            Object("statement", "1", "shop"),
            Remedy(
                "CREATE STATISTICS public.s (ndistinct) ON a, b FROM public.orders;\nANALYZE public.orders;",
                undo="DROP STATISTICS public.s;",
            ),
        ),
        said(
            "vacuum-disabled",
            about,
            Remedy("ALTER TABLE public.orders RESET (autovacuum_enabled);"),
        ),
    ]
    plan = action_plan(findings, [snapshot()])
    keeps_its_word(findings, plan)
    assert sql(plan) == [
        "ALTER TABLE public.orders RESET (autovacuum_enabled);",
        "ALTER TABLE public.orders SET (autovacuum_vacuum_scale_factor = 0.01);",
        "CREATE STATISTICS public.s (ndistinct) ON a, b FROM public.orders;",
        "VACUUM (FREEZE, ANALYZE) public.orders;",
    ]
    assert not plan.actions[0].statements[-1].in_transaction
    assert plan.actions[0].object == about


# Settings and sessions


def setting(name: str, context: str = "sighup", **more: object) -> Setting:
    return blank(Setting, name=name, context=context, source="default", setting="1", **more)


def test_one_reload_and_one_restart_the_larger_value_and_what_waits_for_a_restart() -> None:
    here = snapshot(
        settings=(
            *map(setting, ("log_lock_waits", "max_wal_size")),
            setting("shared_buffers", "postmaster"),
            setting("wal_buffers", "postmaster"),
            setting("max_connections", "postmaster", pending_restart=True),
        )
    )

    def change(rule: str, name: str, value: str) -> Finding:
        return said(rule, Object("setting", name), settings.alter_system(here, name, value))

    findings = [
        change("wal-checkpoints-requested", "max_wal_size", "'2GB'"),
        change("wal-volume", "max_wal_size", "'4GB'"),
        change("config-logging", "log_lock_waits", "on"),
        change("config-observability", "log_lock_waits", "off"),
        change("cache-shared-buffers", "shared_buffers", "'1GB'"),
        change("wal-buffers-full", "wal_buffers", "'64MB'"),
        said("config-pending-restart", Object("setting", "max_connections")),
    ]
    plan = action_plan(findings, [here])
    keeps_its_word(findings, plan)
    assert sql(plan) == [
        "ALTER SYSTEM SET max_wal_size = '4GB';",
        "ALTER SYSTEM SET log_lock_waits = on;",
        "SELECT pg_reload_conf();",
        "ALTER SYSTEM SET shared_buffers = '1GB';",
        "ALTER SYSTEM SET wal_buffers = '64MB';",
    ]
    reload, restart = plan.actions
    assert reload.undo[-1] == "SELECT pg_reload_conf();"
    assert restart.needs_restart
    assert restart.stage is ActionStage.RESTART
    assert rules_closed(findings, restart)[0] == "cache-shared-buffers"
    assert findings[-1].id in restart.closes
    assert "config-logging" in plan.not_planned[0].reason
    assert restart.database is None


def test_an_extension_is_created_in_each_database_and_loaded_once() -> None:
    def lacking(name: str) -> tuple[Snapshot, Finding]:
        here = snapshot(settings=(setting("shared_preload_libraries", "postmaster"),))
        here = replace(here, server=replace(here.server, database=name))
        load = settings.alter_system(here, "shared_preload_libraries", "'pg_stat_statements'")
        create = Remedy(
            "CREATE EXTENSION pg_stat_statements;", undo="DROP EXTENSION pg_stat_statements;"
        )
        return here, said("coverage-extension", Object("extension", "x", name), load, create)

    (one, first), (two, second) = map(lacking, ("one", "two"))
    other = said("cache-huge-pages", Object("setting", "shared_preload_libraries"), first.remedy[0])
    plan = action_plan([first, second, other], [one, two])
    keeps_its_word([first, second, other], plan)
    assert [(a.database, [s.sql.split()[0] for s in a.statements]) for a in plan.actions] == [
        (None, ["ALTER"]),
        ("one", ["CREATE"]),
        ("two", ["CREATE"]),
    ]
    assert all(a.needs_restart for a in plan.actions)
    assert all(a.needs_restart for a in action_plan([first, second], [one, two]).actions)


def test_what_the_command_line_sets_is_changed_there() -> None:
    here = snapshot(settings=(replace(setting("fsync"), source="command line"),))
    about = Object("setting", "fsync")
    plan = action_plan(
        [said("config-dangerous", about, settings.alter_system(here, "fsync", "on"))], [here]
    )
    assert "command line" in plan.actions[0].by_hand


def test_a_role_gets_the_larger_value_once() -> None:
    findings = [
        said(
            "query-temp-spill",
            Object("statement", str(n), "shop"),
            Remedy(
                f"ALTER ROLE app SET work_mem = '{n}MB';", undo="ALTER ROLE app RESET work_mem;"
            ),
        )
        for n in (8, 64, 32)
    ]
    plan = action_plan(findings, [snapshot()])
    keeps_its_word(findings, plan)
    assert sql(plan) == ["ALTER ROLE app SET work_mem = '64MB';"]
    assert plan.actions[0].object == Object("role", "app")
    timeouts = [
        said(
            "lock-no-timeouts",
            Object("setting", name),
            *(Remedy(f"ALTER ROLE {role} SET {name} = '1s';") for role in ("app", "jobs")),
        )
        for name in ("lock_timeout", "statement_timeout")
    ]
    plan = action_plan([*findings, *timeouts], [snapshot()])
    (action,) = plan.actions
    assert action.title == "Set work_mem, lock_timeout and statement_timeout for roles app and jobs"
    assert len(action.statements) == 5


def test_no_role_of_a_script_is_lost_if_another_finding_sets_one_of_them() -> None:
    name = "idle_in_transaction_session_timeout"

    def remedy(*roles: str, value: str = "60s") -> Remedy:
        return Remedy(
            "\n".join(f"ALTER ROLE {role} SET {name} = '{value}';" for role in roles),
            undo="\n".join(f"ALTER ROLE {role} RESET {name};" for role in roles),
        )

    findings = [
        said("lock-blocking-episodes", Object("role", "web", "shop"), remedy("web")),
        said("lock-no-timeouts", Object("setting", "timeouts"), remedy("app", "batch", "web")),
    ]
    for ranked in (findings, findings[::-1]):
        plan = action_plan(ranked, [snapshot()])
        keeps_its_word(ranked, plan)
        (action,) = plan.actions
        assert sorted(sql(plan)) == [
            f"ALTER ROLE {role} SET {name} = '60s';" for role in ("app", "batch", "web")
        ]
        assert sorted(action.undo) == [
            f"ALTER ROLE {role} RESET {name};" for role in ("app", "batch", "web")
        ]
        assert all(step.needs for step in action.statements if step not in findings[0].remedy)


def test_who_waits_for_a_session_that_is_ended_is_left_alone() -> None:
    one, two, three = (
        blank(Session, pid=n, state="active", xact_start=NOW.isoformat()) for n in (1, 2, 3)
    )
    waits = (blank(LockWait, pid=2, blocked_by=[1]), blank(LockWait, pid=3, blocked_by=[2]))
    here = snapshot(sessions=(one, two, three), lock_waits=waits)
    root = said("lock-idle-in-transaction", Object("session", "one"), sessions.terminate(one))
    queue = said("lock-ddl-queue", Object("session", "two"), sessions.cancel(two))
    again = said("lock-blocked", Object("session", "1"), sessions.terminate(one))
    plan = action_plan([queue, root, again], [here])
    assert sql(plan) == [root.remedy[0].sql]
    assert plan.actions[0].closes == (queue.id, root.id, again.id)
    # canceling comes before terminating, and is enough where nothing else is ended
    other = said("lock-long-transaction", Object("session", "three"), sessions.terminate(three))
    plan = action_plan([other, queue], [here])
    assert [a.closes for a in plan.actions] == [(queue.id,), (other.id,)]


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("-- look at it", "comments"),
        ("ALTER TABLE public.orders SET (n_distinct = …);", "fill in"),
        ("SELECT count(*) FROM t WHERE a = $1;", "placeholder"),
        ("SELECT count(*) FROM t;", "only reads"),
        ("SET lock_timeout = '2s';", "sessions"),
        ("SET row_security = off;\nSELECT count(*) FROM t;", "only reads"),
        ("SELECT pg_drop_replication_slot('s');", "consumer"),
        ("SELECT pg_cancel_backend(pid) FROM pg_stat_activity;", "standby"),
        ("ROLLBACK PREPARED 'x';", "transaction manager"),
        ("VACUUM public.orders;\n-- or VACUUM FULL", "Choose"),
        ("CREATE INDEX CONCURRENTLY ON public.orders (a)", "name"),
    ],
)
def test_what_a_person_decides_is_not_in_the_script(script: str, word: str) -> None:
    plan = action_plan([said("x-y", Object("table", "t"), Remedy(script))], [snapshot()])
    (action,) = plan.actions
    assert word in action.by_hand
    assert action.statements[0].sql == script


# Gains


def timed(number: int, ms: float, days: float, size: int | None = None) -> Finding:
    time = MeasuredTime(ms, days * 86_400, 10_000.0, {number: ms})
    about = Object("table", f"t{number}", "shop", "public", f"t{number}")
    return said(
        f"rule-{number}",
        about,
        Remedy(f"ANALYZE public.t{number};"),
        impact=Impact(size, gain=time),
    )


def test_rates_only_if_all_counters_cover_a_day() -> None:
    here = snapshot()
    plan = action_plan([timed(1, 200.0, 2.0), timed(2, 100.0, 1.0)], [here])
    assert plan.gain.ms_per_day == pytest.approx(200.0)
    assert [a.gain.ms_per_day for a in plan.actions] == [100.0, 100.0]
    plan = action_plan([timed(1, 200.0, 2.0), timed(2, 100.0, 0.5)], [here])
    assert plan.gain.ms_per_day is None


def test_bytes_of_one_object_count_once() -> None:
    one = timed(1, 1.0, 1.0, 500)
    other = replace(one, rule="rule-other", impact=Impact(300))
    plan = action_plan([one, other, timed(2, 1.0, 1.0, 7)], [snapshot()])
    assert plan.gain.bytes == 507
    assert plan.actions[0].gain.bytes == 500


def test_the_share_of_the_cost_is_of_all_that_is_advised() -> None:
    given = (advice("one", "a", (1, 2)), advice("two", "b", (2,), cost_after=900.0))
    here = snapshot(missing_indexes=given)
    findings, plan = found(here)
    assert plan.cost_share == pytest.approx(0.5)
    # without the second, what both save for statement 2 is not counted
    rest = [f for f in findings if f.object.name == "one"]
    assert action_plan(rest, [here]).cost_share == pytest.approx(0.2)
    assert action_plan([], [here]).cost_share is None


def test_what_a_wider_index_serves_counts_in_the_share_of_the_cost() -> None:
    given = (advice("one", "a", (1, 2)), advice("wide", "a, b", (3,), cost_after=900.0))
    _, plan = found(snapshot(missing_indexes=given))
    assert [a.object.name for a in plan.actions] == ["wide"]
    assert plan.cost_share == pytest.approx(0.5)


def test_many_copies_and_the_bloat_of_one_are_summed_once() -> None:
    copies = [
        finding(n, object=Object("index", f"i{n}", "shop", "public", "orders")) for n in range(130)
    ]
    other = finding(5, rule="index-bloat", object=copies[5].object)
    gain = gain_of([*copies, other], 0.0)
    assert gain.bytes == 130 * 10_000_000  # the bloat of one of them is not counted again


def test_a_plan_that_fails_does_not_cost_the_report(
    monkeypatch: pytest.MonkeyPatch, example: tuple[Snapshot, list[Finding], ActionPlan]
) -> None:
    def fails(*_: object) -> ActionPlan:
        raise KeyError("x")

    monkeypatch.setattr(sys.modules["pgwatch_wed.analyse"], "action_plan", fails)
    report = analyse([example[0]], parse({"window": 0}, "here"))
    assert report.findings
    assert {n.id for n in report.plan.not_planned} == {f.id for f in report.findings}
    assert "KeyError" in report.plan.not_planned[0].reason


def test_no_snapshot_no_plan() -> None:
    assert action_plan([finding()], []) == ActionPlan()
