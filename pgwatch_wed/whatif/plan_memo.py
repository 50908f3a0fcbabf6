"""Plans that were computed, so that none is computed again: packed, the latest used, within a limit of memory."""

import marshal
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from pgwatch_wed.whatif.model import Candidate, Plan, Query

_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a plan depends on; ``hidden`` is None if all existing indexes are."""

    sql: str
    user: str | None
    indexes: frozenset[Candidate]
    hidden: frozenset[int] | None

    @classmethod
    def of(
        cls, query: Query, indexes: Iterable[Candidate], hidden: Iterable[int], *, bare: bool
    ) -> "PlanRequest":
        """Return the request for a query; ``bare`` hides all that exists."""
        gone = None if bare else frozenset(hidden)
        return cls(query.sql, query.user, frozenset(indexes), gone)


@dataclass(frozen=True, slots=True)
class _Packed:
    cost: float
    used: frozenset[Candidate]
    used_existing: frozenset[int]
    tree: bytes


class PlanMemo:
    """Plans by what was requested; several threads may use it."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._plans: OrderedDict[PlanRequest, _Packed] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, request: PlanRequest) -> Plan | None:
        """Return a plan if it is known."""
        with self._lock:
            found = self._plans.get(request)
            if found is None:
                return None
            self._plans.move_to_end(request)
        tree = marshal.loads(zlib.decompress(found.tree))  # noqa: S302 - packed below, in this process
        return Plan(found.cost, found.used, found.used_existing, tree)

    def put(self, request: PlanRequest, plan: Plan) -> None:
        """Keep a plan; those not used for the longest time make room for it."""
        tree = zlib.compress(marshal.dumps(dict(plan.tree)), 1)
        packed = _Packed(plan.cost, plan.used, plan.used_existing, tree)
        with self._lock:
            known = self._plans.pop(request, None)
            self._plans[request] = packed
            self._bytes += len(tree) - (0 if known is None else len(known.tree))
            while self._bytes > self._most_bytes and len(self._plans) > 1:
                _, gone = self._plans.popitem(last=False)
                self._bytes -= len(gone.tree)
