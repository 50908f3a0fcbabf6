"""How often our evaluator and promtool say the same: which alerts fire, with which labels and values.

python -m tests.bench.service.agreement [--seeds N] [--days N]

Each seed is an hour of series with resets, gaps, births, ends and NaN, asked at every step of 15 s; each day is
5,761 steps of our own rules. promtool 2.x takes the left edge of a window as part of it, and so do we here; the windows
of 3.x are compared with Prometheus' own tests (prometheus_suite).
"""

import argparse
import tempfile
import time
from pathlib import Path

from pgwatch_wed.serve.alerts.alerting import default_rules
from tests.serve.default_series import default_series
from tests.serve.series import PROMTOOL, Comparison, compared, generated, workout_rules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--days", type=int, default=1)
    given = parser.parse_args()
    if PROMTOOL is None:
        raise SystemExit("promtool is missing: apt install prometheus")
    total = Comparison()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seeds):
            _add(total, compared(workout_rules(), generated(seed, 241), 241, Path(folder)))
        print(f"{given.seeds} seeds: {_line(total)}, {time.monotonic() - began:.0f} s", flush=True)
        for day in range(given.days):
            found = compared(default_rules(), default_series(day, 5761), 5761, Path(folder))
            print(f"day {day}: {_line(found)}", flush=True)
            _add(total, found)
    print(f"all: {_line(total)}, {time.monotonic() - began:.0f} s")
    for line in total.differences[:20]:
        print(line)
    raise SystemExit(1 if total.differences else 0)


def _add(total: Comparison, found: Comparison) -> None:
    total.evaluations += found.evaluations
    total.firing += found.firing
    total.differences += found.differences


def _line(found: Comparison) -> str:
    return (
        f"{found.evaluations:,} evaluations, {found.firing:,} alerts firing in them, "
        f"{len(found.differences)} differences"
    )


if __name__ == "__main__":
    main()
