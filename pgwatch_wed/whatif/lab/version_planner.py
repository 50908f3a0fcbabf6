"""Plans as the target's version would choose them, which may know fewer paths than the lab's server."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import said
from pgwatch_wed.facts.features import Features
from pgwatch_wed.sqltext import either_value, older_forms, statement, unindexed_lists
from pgwatch_wed.sqltext.older_forms import Inserted, Insertion
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.whatif.lab import guest, newer_paths, ordered_arrays, shown_indexes, skips
from pgwatch_wed.whatif.lab.imitated import Imitated
from pgwatch_wed.whatif.lab.lab_indexes import LabIndexes
from pgwatch_wed.whatif.lab.ordered_arrays import OrderedArray
from pgwatch_wed.whatif.lab.shown_indexes import ShownIndexes
from pgwatch_wed.whatif.lab.skips import Skip
from pgwatch_wed.whatif.lab.typed_texts import TypedTexts
from pgwatch_wed.whatif.model import Plan, PlanError, Query, SlowPlanError

_NO_ORDER = "set local enable_indexscan = off; set local enable_indexonlyscan = off"
_LACKING_TYPES = (
    psycopg.errors.AmbiguousFunction,
    psycopg.errors.AmbiguousParameter,
    psycopg.errors.IndeterminateDatatype,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.DatatypeMismatch,
    psycopg.errors.CannotCoerce,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidColumnReference,
)


class VersionPlanner:
    """Plans in sessions that show the indexes in question. ``calls`` counts how often the server was asked."""

    def __init__(
        self, indexes: LabIndexes, shown: ShownIndexes, texts: TypedTexts, imitated: Imitated
    ) -> None:
        self._indexes, self._shown = indexes, shown
        self._texts, self._imitated = texts, imitated
        self._counting = Lock()
        self.calls = 0

    def explain(self, connection: psycopg.Connection[Any], query: Query) -> Plan:
        """Return the plan of a query in an open transaction. Raises :class:`PlanError`."""
        tree = self._planned(connection, query)
        if not self._imitated.has(Features.has_array_scans):
            tree = self._without_ordered_arrays(connection, query, tree)
        return self._indexes.plan(tree)

    def _planned(
        self, connection: psycopg.Connection[Any], query: Query, tested: Collection[str] = ()
    ) -> PlanNode:
        """Return a plan as of the target's version, in which lists that the columns ``tested`` are compared with are for no index."""
        tree = self._tree(connection, query, tested)
        if self._imitated.has(Features.has_skip_scan):
            return tree
        return self._without_skips(connection, query, tree, tested)

    def _without_ordered_arrays(
        self, connection: psycopg.Connection[Any], query: Query, tree: PlanNode
    ) -> PlanNode:
        """Return the plan that uses no order of an index beside an array, as a server before 17 would choose it.

        It tests the array in each row, or reads the index in no order, or another one.
        """
        catalog = self._indexes.catalog

        def new(tree: PlanNode) -> list[OrderedArray]:
            return list(ordered_arrays.found(query.sql, tree, catalog, self._indexes.btree))

        arrays = new(tree)
        if not arrays:
            return tree
        tested = frozenset[str]().union(*(each.columns for each in arrays))
        possible = [self._planned(connection, query, tested)]
        with connection.transaction(force_rollback=True):
            connection.execute(_NO_ORDER)
            possible.append(self._planned(connection, query))
        with connection.transaction(force_rollback=True):
            # each session has entries of its own for candidates; for others, it would wait
            while arrays and not any(each.index in catalog.indexes for each in arrays):
                for each in arrays:
                    shown_indexes.hide(connection, each.index, each.table)
                tree = self._planned(connection, query)
                arrays = new(tree)
            possible.append(tree)
        known = [t for t in possible if not new(t)] or possible[:1]
        return min(known, key=lambda t: float(t["Total Cost"]))

    def _without_skips(
        self,
        connection: psycopg.Connection[Any],
        query: Query,
        tree: PlanNode,
        tested: Collection[str],
    ) -> PlanNode:
        """Return the plan that rests on no skipped keys, as a server before 18 would choose it.

        Where that is known, the planner is not told of the values of the skipped columns, so that it assumes that the whole index
        is read. Where it needs them for something else, the index is hidden, as it is before 17 where each value of an
        array would read the whole index.
        """
        catalog = self._indexes.catalog
        new = set(skips.found(tree, catalog, self._indexes.btree))
        if not new:
            return tree
        done: set[Skip] = set()
        # what two sessions change here is the same: they would wait for each other, and may do so for ever
        with self._shown.lock, connection.transaction(force_rollback=True):
            while new - done:
                for skip in sorted(new - done):
                    self._prevent(connection, query, skip, tree)
                done |= new
                tree = self._tree(connection, query, tested)
                new = set(skips.found(tree, catalog, self._indexes.btree))
        return tree

    def _prevent(
        self, connection: psycopg.Connection[Any], query: Query, skip: Skip, tree: PlanNode
    ) -> None:
        has_array_scans = self._imitated.has(Features.has_array_scans)
        is_charged = (has_array_scans and skips.has_arrays(query.sql)) or not skip.has_array
        if is_charged and skips.is_free(tree, skip.columns, self._indexes.catalog):
            relations, attributes = zip(*skip.attributes, strict=True)
            call = guest.call("select {lab}.forget(%s::oid[], %s::int[])")
            connection.execute(call, [list(relations), list(attributes)])
        else:
            shown_indexes.hide(connection, skip.index, skip.table)

    def _tree(
        self, connection: psycopg.Connection[Any], query: Query, tested: Collection[str] = ()
    ) -> PlanNode:
        text = self._texts.text(query)
        if tested:
            text = unindexed_lists.unindexed_lists(text, tested)
        written = Inserted.into(text, self._older_forms(text))
        tree = self._asked(connection, query, written)
        can_look_up = self._imitated.has(Features.has_arrays_of_or)
        if not can_look_up and newer_paths.looks_up_arrays(tree):
            tree = self._without_arrays_of_or(connection, query, written.text) or tree
        is_changed = tested or written.insertions
        return unindexed_lists.as_written(tree, query.sql) if is_changed else tree

    def _without_arrays_of_or(
        self, connection: psycopg.Connection[Any], query: Query, text: str
    ) -> PlanNode | None:
        """Return the plan that looks up the values of an OR for a bitmap; None if there is no OR, or it cannot be planned so."""
        if not either_value.has_alternatives(text):
            return None
        types = self._indexes.catalog.types_in(statement.parse(query.sql).relations)
        written = Inserted.into(text, either_value.of_one(text, types))
        if not written.insertions:
            return None
        with suppress(PlanError), connection.transaction():
            return either_value.as_compared(self._asked(connection, query, written))
        return None

    def _asked(
        self, connection: psycopg.Connection[Any], query: Query, written: Inserted
    ) -> PlanNode:
        generic = "generic_plan, " if query.has_parameters else ""
        before = f"explain ({generic}verbose, format json) "
        with self._counting:
            self.calls += 1
        try:
            with self._as_its_role(connection, query):
                row = connection.execute(f"{before}{written.text}".encode()).fetchone()
        except psycopg.errors.QueryCanceled as error:
            raise SlowPlanError(said(error)) from None
        except psycopg.Error as error:
            lacks_types = query.has_parameters and isinstance(error, _LACKING_TYPES)
            place = error.diag.statement_position
            raise PlanError(
                said(error),
                type(error).__name__,
                lacks_types=lacks_types,
                position=None if place is None else written.place(int(place) - 1 - len(before)),
            ) from None
        assert row is not None
        tree: PlanNode = (row[0] if isinstance(row[0], list) else json.loads(row[0]))[0]["Plan"]
        self._imitated.security.withhold(query, tree)
        return tree

    def _older_forms(self, text: str) -> Iterator[Insertion]:
        """Yield what makes this planner plan a text as the target's version does."""
        if not self._imitated.has(Features.has_joins_of_correlated_lists):
            yield from older_forms.of_each_row(text)
        if not self._imitated.has(Features.has_arrays_of_values):
            yield from older_forms.of_values(text)

    @contextmanager
    def _as_its_role(self, connection: psycopg.Connection[Any], query: Query) -> Iterator[None]:
        """Plan as the query's role where policies depend on it; after an error, the transaction ends anyway."""
        role = self._imitated.security.role_of(query)
        if role is None:
            yield
            return
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        yield
        connection.execute("set local role none")
