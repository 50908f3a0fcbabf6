"""A report compared with a baseline; one that cannot be compared costs the comparison, and not the report."""

from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.compare.measured_runs import MeasuredRun
from pgwatch_wed.load.compare.run_comparison import compare_runs, measured_report
from pgwatch_wed.load.stress_report import StressComparison, StressReport


def compared_with(base: MeasuredRun, report: StressReport, label: str) -> StressComparison:
    """Return what changed since the baseline."""
    try:
        return compare_runs(base, measured_report(report), label)
    except UsageError as error:
        return StressComparison(
            label=label, taken_at=base.taken_at, metrics=(), notes=(error.message,)
        )
