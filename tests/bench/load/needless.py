"""Compare two servers, one with a needless index, while others burn CPU: python -m tests.bench.load.needless [--neighbours 2].

The index must be found by its work each time, whatever the times say.
"""

import sys

from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Ground, Scenario
from pgwatch_wed.load.stress_report import ComparedAs, StressComparison
from tests.bench.load.comparing import anew, compared, neighbours, options, scenario_of

_SCENARIO = "tpcb-like"
_INDEX = b"create index on tpcb.accounts (balance)"


def main() -> int:
    """Print a line for each comparison and the sum; return 1 if the index was missed."""
    parser = options(__doc__, comparisons=5)
    parser.set_defaults(neighbours=2, rate=60.0)
    given = parser.parse_args()
    with neighbours(given.neighbours):
        found = sum(map(_is_found, compared(given, scenario_of(_SCENARIO), _with_index)))
    print(f"\nneedless index found: {found} of {given.comparisons}")
    return int(found < given.comparisons)


def _with_index(ground: Ground, scenario: Scenario, is_current: bool) -> None:
    anew(ground, scenario)
    if is_current:
        with connected(ground) as session:
            session.execute(_INDEX)


def _is_found(comparison: StressComparison) -> bool:
    return any(m.is_work and m.result is ComparedAs.REGRESSION for m in comparison.metrics)


if __name__ == "__main__":
    sys.exit(main())
