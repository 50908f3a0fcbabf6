"""What answers "what would this query cost with these indexes?": the lab and hypopg do."""

from collections.abc import Generator, Iterable, Sequence
from typing import Protocol

from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.model import Candidate, Plan, Query


class Oracle(Protocol):
    """What answers "what would this query cost with these indexes?"."""

    engine: str
    catalog: Catalog
    calls: int
    notes: list[str]
    is_c_collation: bool
    trigram: str | None

    def add(self, indexes: Iterable[Candidate]) -> None:
        """Make candidates known; what the server refuses is told by :meth:`refusal`."""

    def refusal(self, index: Candidate) -> str | None:
        """Return why the server does not take an index, or None."""

    def size(self, index: Candidate) -> int:
        """Return the bytes that it would take when really built."""

    def bare(self, queries: Sequence[Query]) -> Generator[tuple[Query, Plan], None, None]:
        """Yield queries with their plans where no index hides a condition; close it when done.

        Nothing else may be asked meanwhile. What cannot be planned is left out.
        """

    def plan(
        self,
        query: Query,
        indexes: Iterable[Candidate] = (),
        hidden: Iterable[int] = (),
        *,
        bare: bool = False,
    ) -> Plan:
        """Return the plan with candidates shown and existing indexes hidden."""
