"""Statements whose parameters have types that nothing in them tells: the texts with types that the lab can plan."""

import time
from collections.abc import Callable
from typing import Any

import psycopg

from pgwatch_wed.sqltext import arbiters, statement
from pgwatch_wed.sqltext.plannable import with_lists
from pgwatch_wed.sqltext.typed_parameters import Misfit, TypedStatement, typed
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.lab import arbiter_indexes, planning_time
from pgwatch_wed.whatif.model import PlanError, Query, SlowPlanError


class TypedTexts:
    """Finds types, once for each statement. ``catalog`` returns what the lab has."""

    def __init__(self, catalog: Callable[[], Catalog]) -> None:
        self._catalog = catalog
        self._known: dict[str, TypedStatement | None] = {}

    def text(self, query: Query) -> str:
        """Return the text to plan for a query."""
        given = self._known.get(query.sql)
        return with_lists(query.sql) if given is None else given.text

    def guessed(self, query: Query) -> str | None:
        """Return which types were assumed, as a doubt."""
        given = self._known.get(query.sql)
        if given is None or not given.guessed:
            return None
        types = sorted({f"${n} is {kind}" for n, kind in given.guessed.items()})
        return f"it is assumed that {', '.join(types)}, since nothing in the statement tells"

    def find(
        self,
        connection: psycopg.Connection[Any],
        query: Query,
        seconds: float | None,
        explain: Callable[[psycopg.Connection[Any], Query], object],
    ) -> bool:
        """Find types for parameters that have none; tell whether there are new ones.

        Raises :class:`SlowPlanError` if that takes longer than ``seconds``.
        """
        if query.sql in self._known:
            return False
        self._known[query.sql] = None
        catalog = self._catalog()
        columns = catalog.types_in(statement.parse(query.sql).relations)
        most = planning_time.MOST_MS / 1000 if seconds is None else seconds
        end = time.monotonic() + most

        def ask(text: str) -> Misfit | None:
            left = end - time.monotonic()
            if left <= 0:
                raise SlowPlanError("finding types for its parameters takes too long")
            self._known[query.sql] = TypedStatement(text, {})
            # each rollback undoes the limit
            connection.execute(planning_time.SET, [planning_time.limit(left)])
            try:
                explain(connection, query)
            except SlowPlanError:
                raise
            except PlanError as error:
                connection.rollback()
                return Misfit(str(error), error.position)
            return None

        text = arbiters.with_predicates(
            with_lists(query.sql), lambda c: arbiter_indexes.predicate(catalog, c)
        )
        try:
            self._known[query.sql] = typed(text, columns.get, ask)
        except SlowPlanError:
            del self._known[query.sql]  # with more time, there may be some
            raise
        return self._known[query.sql] is not None
