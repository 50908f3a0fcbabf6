"""Error budgets: what counts, how fast they are used, and what nobody knows."""

import json
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.slo.burns import BURN_ALERTS, burning, judge
from pgwatch_wed.serve.slo.event_counting import CALLS, REQUESTS, SECONDS, EventCounter
from pgwatch_wed.serve.slo.event_ledger import EventLedger
from pgwatch_wed.serve.slo.slo_keeper import SloKeeper
from pgwatch_wed.serve.slo.slo_rules import rules_yaml
from pgwatch_wed.serve.slo.slo_settings import Objective, parse_slos
from pgwatch_wed.serve.state import Board, Family, Health, ProbeResult, Sample

NOW = 1_800_000_000.0
NINES = parse_slos({}, "f")[0]


def ledger(minutes: dict[int, tuple[float, float]], keep_s: float = 30 * 86400) -> EventLedger:
    """Return a ledger with good and bad events so many minutes ago."""
    it = EventLedger(keep_s)
    for ago, (good, bad) in sorted(minutes.items(), reverse=True):
        it.add(NOW - ago * 60, good, bad)
    return it


def names(objective: Objective, it: EventLedger) -> list[str]:
    status = judge(objective, it, NOW)
    return [a.name for a in burning(objective, status.burn, status.bad_events)]


def test_four_nines_are_4_38_minutes_a_mean_month_and_a_probe_is_5_8_percent_of_it() -> None:
    mean_month_s = 365.25 / 12 * 86400
    assert round(NINES.budget * mean_month_s / 60, 2) == 4.38
    assert round(NINES.allowed_s / 60, 2) == 4.32
    first = parse_slos({}, "f")[0]
    assert (first.objective, first.allowed_s) == (0.9999, 259.2)  # as they are shown
    assert round(15 / NINES.allowed_s, 3) == 0.058  # in 30 days; 5.7% in a mean month


def test_no_data_is_unknown_and_neither_good_nor_bad() -> None:
    status = judge(NINES, EventLedger(NINES.window_s), NOW)
    assert (status.status, status.used_ratio, status.unknown_ratio) == (Health.UNKNOWN, None, 1.0)
    assert set(status.burn.values()) == {None}
    half = judge(NINES, ledger(dict.fromkeys(range(0, 30 * 1440, 2), (100, 0))), NOW)
    assert half.used_ratio == 0
    assert round(half.unknown_ratio, 2) == 0.5


@pytest.mark.parametrize(
    ("minutes", "fires"),
    [
        (dict.fromkeys(range(61), (985, 15)), "SloBurnFast"),  # 15 times, an hour
        (dict.fromkeys(range(361), (993, 7)), "SloBurn"),
        (dict.fromkeys(range(1441), (996, 4)), "SloBurnSlow"),
        (dict.fromkeys(range(3 * 1440 + 1), (998, 2)), "SloBudgetLow"),
        (dict.fromkeys(range(3 * 1440 + 1), (999.5, 0.5)), ""),
        # over: the long windows still burn, the short ones do not
        ({m: (985, 15) if m > 380 else (1000, 0) for m in range(1000)}, ""),
        # a handful of errors at night
        (dict.fromkeys(range(5), (0, 1)), ""),
        # a short total outage; the 30-minute window burns as well
        ({m: (1000, 0) if m > 4 else (0, 1000) for m in range(361)}, "SloBurnFast"),
    ],
)
def test_a_burn_alert_needs_both_windows_and_a_number_of_errors(
    minutes: dict[int, tuple[float, float]], fires: str
) -> None:
    (errors,) = parse_slos({"e": {"kind": "availability", "objective": "99.9%"}}, "f")
    assert next(iter(names(errors, ledger(minutes))), "") == fires


@pytest.mark.parametrize("seed", range(20))
def test_a_window_is_the_sum_of_its_minutes(seed: int) -> None:
    chance = random.Random(seed)
    events: list[tuple[int, int, int]] = []
    it, now = EventLedger(86400), NOW
    for _ in range(3000):
        now += chance.choice([1, 15, 15, 60, 600, -30])
        good, bad = 1 + chance.randrange(3), chance.randrange(2)
        it.add(now, good, bad)
        events.append((max(int(now // 60), events[-1][0]) if events else int(now // 60), good, bad))
    now = max(now, events[-1][0] * 60.0)
    it = EventLedger.read(json.loads(json.dumps(it.document())), 86400)
    for window in (300, 3600, 86400):
        first = int((now - window) // 60)
        good, bad = (sum(e[i] for e in events if e[0] >= first) for i in (1, 2))
        assert (it.within(now, window).good, it.within(now, window).bad) == (good, bad)


def test_a_ledger_forgets_and_stays_small_and_a_clock_set_back_by_a_year_begins_anew() -> None:
    it = EventLedger(3600)
    for minute in range(5000):
        it.add(NOW + minute * 60, 1, 0)
    assert len(it.document()["minutes"]) < 1000
    assert it.within(NOW + 4999 * 60, 3600).good == 61
    it.add(NOW - 400 * 86400, 0, 3)
    assert it.within(NOW - 400 * 86400, 3600).bad == 3


def test_after_the_clock_was_set_back_by_an_hour_what_happens_counts() -> None:
    it = EventLedger(30 * 86400)
    it.add(NOW, 100, 0)
    it.add(NOW - 3600, 0, 50)
    assert it.within(NOW - 3600, 300).bad == 50


# Counting

OK, BAD = (("http_response_status_code", "200"),), (("http_response_status_code", "503"),)


def requests(good: float, bad: float | None) -> list[Family]:
    samples = [Sample(f"{REQUESTS}_count", OK, good)]
    samples += [] if bad is None else [Sample(f"{REQUESTS}_count", BAD, bad)]
    return [Family(REQUESTS, "histogram", "", tuple(samples))]


def test_what_an_application_counted_before_it_was_first_read_is_not_of_now() -> None:
    def of(name: str, bad: float) -> list[Family]:
        sample = Sample(f"{REQUESTS}_count", (("application", name), *BAD), bad)
        return [Family(REQUESTS, "histogram", "", (sample,))]

    counter = EventCounter(NINES)
    readings = (of("a", 7), of("a", 8), of("a", 8) + of("b", 9000), of("b", 9002))
    assert [counter.count(r, {}, 0)[1] for r in readings] == [0, 1, 0, 2]


def test_requests_count_as_differences_over_resets_and_births() -> None:
    counter = EventCounter(NINES)
    seen = [
        counter.count(requests(*r), {}, 0)
        for r in ((1000, None), (1010, None), (1015, 5), (4, 5), (4, 0))
    ]
    assert seen == [(0, 0), (10, 0), (5, 5), (4, 0), (0, 0)]


def test_latency_counts_by_the_bucket_of_its_bound() -> None:
    (fast,) = parse_slos({"fast": {"kind": "latency", "objective": "95%", "within": "200 ms"}}, "f")
    counter = EventCounter(fast)

    def at(le_01: float, le_02: float, every: float) -> list[Family]:
        bounds = {"0.1": le_01, "0.2": le_02, "0.5": every, "+Inf": every}
        samples = [Sample(f"{REQUESTS}_bucket", (("le", b),), v) for b, v in bounds.items()]
        return [
            Family(REQUESTS, "histogram", "", (*samples, Sample(f"{REQUESTS}_count", (), every)))
        ]

    counter.count(at(0, 0, 0), {}, 0)
    assert counter.count(at(50, 90, 100), {}, 15) == (90, 10)


def test_query_time_counts_minutes_with_enough_calls() -> None:
    (queries,) = parse_slos(
        {"q": {"kind": "query_time", "objective": "99%", "within": "50 ms"}}, "f"
    )
    counter, calls, seconds, seen = EventCounter(queries), 0.0, 0.0, []
    counter.count([Family("x", "counter", "", (Sample(CALLS, (), 0),))], {}, 0)
    for minute, (n, mean) in enumerate([(0, 0), (100, 0.01), (100, 0.2), (5, 9.0), (100, 0.02)]):
        for part in range(4):
            calls, seconds = calls + n / 4, seconds + n * mean / 4
            family = Family(
                "x", "counter", "", (Sample(CALLS, (), calls), Sample(SECONDS, (), seconds))
            )
            seen.append(counter.count([family], {}, minute * 60 + part * 15 + 15))
    assert [e for e in seen if e != (0, 0)] == [(1, 0), (0, 1), (1, 0)]


def probe(at: float, status: Health) -> dict[str, ProbeResult]:
    return {"database": ProbeResult("database", "postgresql", status, at, at, 15)}


def test_a_probe_counts_once_and_one_that_knows_nothing_not_at_all() -> None:
    table = {"r": {"kind": "probe", "objective": "99.9%", "probe": "database"}}
    counter = EventCounter(parse_slos(table, "f")[0])
    results = [
        (1, Health.PASS),
        (1, Health.PASS),
        (2, Health.FAIL),
        (3, Health.UNKNOWN),
        (4, Health.WARN),
    ]
    seen = [counter.count([], probe(at, status), at) for at, status in results]
    assert seen == [(1, 0), (0, 0), (0, 1), (0, 0), (1, 0)]


def test_counts_survive_a_restart_and_a_corrupt_file_costs_only_them(tmp_path: Path) -> None:
    lines: list[str] = []
    board, clock = Board(), [0.0]

    def keeper() -> SloKeeper:
        return SloKeeper(
            [NINES],
            board,
            now=lambda: NOW,
            monotonic=lambda: clock[0],
            state_folder=tmp_path,
            log=lines.append,
        )

    def show(good: float, bad: float) -> None:
        board.change(lambda s: replace(s, families={"app": tuple(requests(good, bad))}))

    first = keeper()
    for good, bad in ((0, 0), (9990, 10)):
        show(good, bad)
        first.run_once(NOW)
    assert board.state.slos[0].used_ratio == pytest.approx(10)
    assert board.state.slos[0].status is Health.FAIL
    first.stop()
    second = keeper()
    second.run_once(NOW + 15)
    assert board.state.slos[0].bad == 10
    for content in (
        "{",
        "[]",
        '{"version": 1, "slos": {"availability": {"kind": "availability 0  []"}}}',
        '{"version": 1, "slos": {"availability": []}}',
        (
            '{"version": 1, "slos": {"availability": {"kind": "availability 0  []", "minutes": [1], '
            '"good": [NaN], "bad": [0], "base": [0, 0]}}}'
        ),
    ):
        (tmp_path / "slo.json").write_text(content)
        keeper().run_once(NOW + 30)
        assert "begin anew" in lines.pop()
    samples = {(s.name, s.labels): s.value for f in board.state.families["slo"] for s in f.samples}
    assert ("pgwatch_wed_slo_burn_rate", (("slo", "availability"), ("window", "5m"))) not in samples
    assert samples["pgwatch_wed_slo_unknown_ratio", (("slo", "availability"),)] == 1


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ({"A": {}}, "slo.A"),
        ({"a": 1}, "must be a table"),
        ({"a": {"kind": "luck"}}, "slo.a.kind"),
        ({"a": {"kind": "availability", "objective": 0.99}}, "slo.a.objective"),
        ({"a": {"kind": "availability", "objective": "100%"}}, "slo.a.objective"),
        ({"a": {"kind": "availability", "objective": "nan%"}}, "slo.a.objective"),
        ({"a": {"kind": "latency", "objective": "95%"}}, "within"),
        ({"a": {"kind": "latency", "objective": "95%", "within": 200}}, "slo.a.within"),
        (
            {"a": {"kind": "availability", "objective": "99%", "window": "1000 days"}},
            "slo.a.window",
        ),
        ({"a": {"kind": "availability", "objective": "99%", "least_errors": 0}}, "least_errors"),
        ({"a": {"kind": "availability", "objective": "99%", "goal": 1}}, "unknown key"),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_file_and_key(
    table: dict[str, Any], part: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_slos(table, "pgwatch_wed.toml")
    assert part in str(caught.value)
    assert str(caught.value).startswith("pgwatch_wed.toml: slo.")


def test_prometheus_takes_the_rules_and_they_fire_where_we_say_so(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs promtool (Debian: prometheus)")
    (tmp_path / "slo.yml").write_text(rules_yaml())
    series = [
        ("slo_burn_rate", 'window="1h"', 20),
        ("slo_burn_rate", 'window="5m"', 15),
        ("slo_bad_events", 'window="5m"', 10),
        ("slo_least_errors", "", 10),
    ]
    lines = "".join(
        f"      - series: 'pgwatch_wed_{n}{{slo=\"a\"{',' + label if label else ''}}}'\n        values: '{v}x5'\n"
        for n, label, v in series
    )
    (tmp_path / "test.yml").write_text(
        f"rule_files: [slo.yml]\ntests:\n  - interval: 1m\n    input_series:\n{lines}"
        "    promql_expr_test:\n"
        '      - expr: count(ALERTS{alertname="SloBurnFast", alertstate="firing", slo="a"})\n'
        "        eval_time: 1m\n        exp_samples: [{labels: '{}', value: 1}]\n"
        "      - expr: count(ALERTS) - 1\n        eval_time: 1m\n        exp_samples: [{labels: '{}', value: 0}]\n"
    )
    done = subprocess.run(
        [program, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [a.name for a in BURN_ALERTS if a.name not in rules_yaml()] == []
