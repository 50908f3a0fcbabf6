"""Whether the first cause of a ranking can be called the first bottleneck: with wide intervals, or in a disturbed run, it cannot."""

from dataclasses import dataclass

from pgwatch_wed.load.sampling.cause_parts import WORK
from pgwatch_wed.load.sampling.load_causes import LoadCause, LoadCauseKind
from pgwatch_wed.load.stress_report import ScenarioRun

# Times of such a run cannot be believed, but what the sessions waited for can.
TELLING = frozenset({"over-capacity", "interrupted"})
_UNTOLD = "Which cause comes first cannot be told: the interval of the first one reaches below that of another."
_FEW = "The blocks are too few for an interval, so the first cause is only probable."


@dataclass(frozen=True, slots=True)
class FirstCause:
    """How the first cause and those after it are to be called. ``doubt``: why it may not be the first, a sentence."""

    label: str = "first bottleneck"
    following: str = "then"
    doubt: str = ""


def first_cause(run: ScenarioRun) -> FirstCause:
    """Return what may be said of the first cause of a run."""
    if not run.causes:
        return FirstCause()
    first, *others = run.causes
    rivals = [c for c in others if not _belongs(c, first)]
    if first.interval is not None and any(first.interval[0] < _most(c) for c in rivals):
        return FirstCause("perhaps the first bottleneck", "or", _UNTOLD)
    if any(s.check not in TELLING for s in run.spoilt):
        return FirstCause("probably the first bottleneck")  # what is doubtful is said of all causes
    if first.interval is None and rivals:
        return FirstCause("probably the first bottleneck", doubt=_FEW)
    return FirstCause()


def _most(cause: LoadCause) -> float:
    return cause.share if cause.interval is None else cause.interval[1]


def _belongs(cause: LoadCause, first: LoadCause) -> bool:
    """Tell whether a cause is no other one: a symptom of the first, or the work of the statement that the first accuses."""
    if cause.symptom_of is first.kind:
        return True
    is_work = cause.kind in WORK and cause.kind is not LoadCauseKind.TEMP_FILES
    if not (is_work and cause.queries and first.queries):
        return False
    is_same = cause.queries[0].key == first.queries[0].key
    return is_same and first.kind not in WORK - {LoadCauseKind.TEMP_FILES}
