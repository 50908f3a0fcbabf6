"""What the user asks for, and what the advisor answers."""

from dataclasses import dataclass

from pgwatch_wed.findings import Grade
from pgwatch_wed.remedies.script import Script
from pgwatch_wed.whatif.model import Candidate, Rejected
from pgwatch_wed.whatif.proof.truth import Verified


@dataclass(frozen=True, slots=True)
class AdviceOptions:
    """The user's options. ``budget_bytes`` None means half of the tables' size, at least 256 MB.

    ``tries_keys``: keys of documents that are parameters are tried, for the reasons why queries have no index.
    ``jobs`` is how many statements the lab plans at once, None for its default.
    """

    budget_bytes: int | None = None
    max_width: int = 3
    seconds: float = 60.0
    guard: bool = True
    tries_keys: bool = True
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class QueryGain:
    """A query's weighted cost without and with the recommended set, and the indexes it then uses.

    ``calls``, and the time (ms) and blocks of a call, are measured values if the workload has them. ``blocks_before`` are those that
    a call touches, as measured or else by its plan, ``blocks_after`` those that its plan with the set promises; None if not known.
    """

    name: str
    query_id: int | None
    cost_before: float
    cost_after: float
    weight: float
    indexes: tuple[str, ...]
    calls: float | None = None
    call_ms: float | None = None
    call_blocks: float | None = None
    blocks_before: float | None = None
    blocks_after: float | None = None

    @property
    def call_ms_after(self) -> float | None:
        """The measured time of a call, less what the planner's cost saves of it."""
        if self.call_ms is None or not self.calls:
            return None
        return max(self.call_ms - (self.cost_before - self.cost_after) / self.calls, 0.0)


@dataclass(frozen=True, slots=True)
class IndexAdvice:
    """A recommended index. Costs are the workload's present one, and that without this index's part of the gain.

    What a query saves through several indexes is divided among them, so that the gains of a set add up:
    ``saved`` is this index's part for each of ``queries``. ``is_joint`` tells that most of it is lost if
    only this index is built. ``doubts`` say why the target may plan otherwise, ``guesses`` are columns of which the planner
    guesses how many rows match, ``equated`` those that are compared with unknown values.
    ``script`` builds it on the target, ``run_as`` says who may if our role may not, and ``drops`` remove what it
    makes redundant: :mod:`engines` adds them, since they depend on what exists on the target but not in the lab, and the
    ``grade``, which tells how sure the gain is.
    """

    index: Candidate
    name: str
    ddl: str
    size_bytes: int
    cost_without: float
    cost_with: float
    write_cost: float
    queries: tuple[str, ...]
    query_ids: tuple[int, ...]
    makes_redundant: tuple[str, ...]
    caveats: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    equated: tuple[str, ...] = ()
    saved: tuple[float, ...] = ()
    is_joint: bool = False
    script: Script | None = None
    run_as: str = ""
    drops: tuple[str, ...] = ()
    grade: Grade | None = None


@dataclass(frozen=True, slots=True)
class BeyondBudget:
    """Indexes that do not fit into the budget: ``bytes`` more would save this share of the present cost in addition."""

    bytes: int
    saved: float
    indexes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """The set, what it changes, and why the other queries do not benefit.

    The costs are those of all statements if they are measured times, also of those that have no plan. ``unseen_ms`` is the
    part of statements that are not among the ``rejected`` either: hidden ones, and those after the costliest.
    """

    indexes: tuple[IndexAdvice, ...]
    cost_before: float
    cost_after: float
    bytes: int
    budget_bytes: int
    whatif_calls: int
    seconds: float
    per_query: tuple[QueryGain, ...]
    rejected: tuple[Rejected, ...]
    engine: str
    unit: str
    notes: tuple[str, ...] = ()
    hidden_statements: int = 0
    verified: Verified | None = None
    is_default_budget: bool = False
    beyond: BeyondBudget | None = None
    unseen_ms: float = 0.0

    @property
    def unplanned_ms(self) -> float:
        """The measured time of statements that have no plan."""
        return self.unseen_ms + sum(r.total_ms or 0.0 for r in self.rejected if not r.has_plan)
