"""Print what the rules make of simulated days: ``python -m tests.bench.service.day [SEEDS]``."""

import sys
import time
from collections import Counter

from pgwatch_wed.serve.simulate.day_run import simulated
from pgwatch_wed.serve.simulate.day_score import DayScore, score, together


def line(name: str, it: DayScore, seconds: float) -> str:
    critical = it.critical_s
    return (
        f"{name:>8}  {it.incidents:9}  {it.alerts:6}  {len(it.false):5}  {len(it.missed):6}  "
        f"{it.mean_critical_s:8.0f} s  {max(critical, default=0):7.0f} s  {seconds:7.1f} s"
    )


def main() -> int:
    seeds = range(1, int(sys.argv[1]) + 1 if len(sys.argv) > 1 else 11)
    print("    seed  incidents  alerts  false  missed  critical mean  longest  run took")
    scores = []
    for seed in seeds:
        began = time.process_time()
        scores.append(score(*simulated(seed)))
        print(line(str(seed), scores[-1], time.process_time() - began), flush=True)
    every = together(scores)
    print(line("all", every, 0.0))
    print(
        f"false alerts: {len(every.false)} of {every.alerts}, with 95% confidence below {every.false_below:.1%}"
    )
    for what, names in (
        ("false", [a.name for a in every.false]),
        ("missed", [e.kind.name for e in every.missed]),
    ):
        for name, number in Counter(names).most_common():
            print(f"{what}: {name} ({number})")
    return int(bool(every.missed) or every.false_below >= 0.05 or every.mean_critical_s > 120)


if __name__ == "__main__":
    sys.exit(main())
