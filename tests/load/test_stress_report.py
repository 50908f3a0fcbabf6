"""A report of a load test as text and JSON: what is said first, and the schema."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import referencing

from pgwatch_wed.load.first_cause import first_cause
from pgwatch_wed.load.load_json import render_stress
from pgwatch_wed.load.load_model import Spoilt
from pgwatch_wed.load.load_pages.load_html import stress_html
from pgwatch_wed.load.load_text import performance_text, stress_text
from pgwatch_wed.load.load_words import fine_duration, fine_share, percentiles_words
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind
from pgwatch_wed.load.stress_report import (
    PercentileFigure,
    PerformanceReport,
    ScenarioRun,
    StressReport,
)
from tests.load.stress_samples import sample_report
from tests.reports import HOSTILE, finding, report

DOCS = Path(__file__).parent.parent.parent / "docs"


def stress_schema() -> jsonschema.Draft202012Validator:
    report, stress = (
        json.loads((DOCS / name).read_text(encoding="utf-8"))
        for name in ("report.schema.json", "stress.schema.json")
    )
    resource = referencing.Resource.from_contents(report)
    registry = referencing.Registry().with_resource(report["$id"], resource)
    return jsonschema.Draft202012Validator(stress, registry=registry)


def believable(report: StressReport) -> StressReport:
    return replace(report, ended_early="", runs=tuple(replace(r, spoilt=()) for r in report.runs))


def test_json_is_as_its_schema_says() -> None:
    report = sample_report()
    document = json.loads(render_stress(report))
    stress_schema().validate(document)
    assert document["summary"] == {"pass": 1, "fail": 0, "unknown": 1}
    assert document["believable"] is False
    (run,) = document["runs"]
    assert run["objectives"][0]["interval"] == {"low": 80.0, "high": 101.0}
    assert run["proof"]["steps"][0]["remedy"][0]["sql"].startswith("CREATE INDEX")


def test_json_contains_the_analysis_of_the_interval() -> None:
    whole = sample_report()
    analysis = report((finding(),))
    whole = replace(whole, runs=(replace(whole.runs[0], analysis=analysis, no_analysis=""),))
    document = json.loads(render_stress(whole))
    stress_schema().validate(document)
    assert len(document["runs"][0]["analysis"]["findings"]) == 1
    assert "rules, of exactly this interval: 1 finding" in stress_text(whole)


def test_what_a_server_says_cannot_harm_a_terminal() -> None:
    whole = sample_report()
    hostile = replace(
        whole,
        target=replace(whole.target, label=HOSTILE, notes=(HOSTILE,)),
        runs=(replace(whole.runs[0], errors=(HOSTILE,)),),
    )
    text = stress_text(hostile)
    assert all(c.isprintable() or c == "\n" for c in text)
    stress_schema().validate(json.loads(render_stress(hostile)))


def test_the_text_says_first_whether_the_numbers_can_be_believed() -> None:
    lines = stress_text(sample_report()).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "ENDED EARLY: interrupted" in lines[1]
    assert "CANNOT BE BELIEVED" in lines[2]
    order = [
        "p95 at most 200 ms",
        "first bottleneck: missing index",
        "what to do",
        "latency",
        "Compared",
    ]
    text = "\n".join(lines)
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    clean = stress_text(believable(sample_report())).splitlines()
    assert clean[1] == "The measured times can be believed."


def ranked(*bounds: tuple[float, float] | None, spoilt: str = "") -> ScenarioRun:
    """Return a run whose causes have these intervals."""
    (run,) = sample_report().runs
    kinds = (LoadCauseKind.FLUSH, LoadCauseKind.IO_READ, LoadCauseKind.OTHER)
    causes = [
        replace(run.causes[0], kind=kind, interval=b, share=sum(b) / 2 if b else 0.5, queries=())
        for kind, b in zip(kinds, bounds, strict=False)
    ]
    why = (Spoilt(check=spoilt, text=""),) if spoilt else ()
    return replace(run, causes=tuple(causes), spoilt=why)


@pytest.mark.parametrize(
    ("run", "label"),
    [
        (ranked((0.5, 0.7), (0.2, 0.4)), "first bottleneck"),
        (ranked((0.03, 0.94), (0.1, 0.3)), "perhaps the first bottleneck"),
        (ranked((0.5, 0.7), (0.3, 0.4), (0.2, 0.6)), "perhaps the first bottleneck"),
        (ranked(None, None), "probably the first bottleneck"),
        (ranked((0.5, 0.7), (0.2, 0.4), spoilt="steal"), "probably the first bottleneck"),
        (ranked((0.5, 0.7), (0.2, 0.4), spoilt="over-capacity"), "first bottleneck"),
    ],
)
def test_a_first_bottleneck_is_named_only_where_it_can_be_told(
    run: ScenarioRun, label: str
) -> None:
    found = first_cause(run)
    assert found.label == label
    whole = replace(sample_report(), runs=(run,))
    assert f"\n  {label}: " in stress_text(whole)
    assert found.doubt in stress_html(whole)
    assert bool(found.doubt) is (label != "first bottleneck" and not run.spoilt)


def test_a_statement_that_lacks_an_index_is_no_rival_of_the_index() -> None:
    (run,) = sample_report().runs
    (index,) = run.causes
    itself = replace(index, kind=LoadCauseKind.QUERY_CPU, symptom_of=None)
    assert first_cause(replace(run, causes=(index, itself), spoilt=())).doubt == ""
    spilled = replace(itself, kind=LoadCauseKind.TEMP_FILES)
    assert first_cause(replace(run, causes=(index, spilled), spoilt=())).doubt != ""


def test_colors_do_not_change_the_text() -> None:
    plain = stress_text(sample_report())
    colored = stress_text(sample_report(), colour=True)
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


def test_a_report_without_runs_says_so() -> None:
    text = stress_text(replace(sample_report(), runs=(), comparison=None))
    assert "Nothing was measured" in text


def test_a_run_that_ended_in_its_ramp_has_no_times_to_believe() -> None:
    whole = believable(sample_report())
    (run,) = whole.runs
    ramp, _ = run.phases
    ended = replace(whole, runs=(replace(run, phases=(ramp,)),), comparison=None)
    assert not ended.is_believable
    assert stress_text(ended).splitlines()[1].startswith("Nothing was measured under steady load")


def test_what_was_not_proven_is_recommended_with_its_sql_and_the_way_to_prove_it() -> None:
    whole = sample_report()
    advice = finding()
    run = replace(whole.runs[0], analysis=report((advice,)), no_analysis="")
    proven = stress_text(replace(whole, runs=(run,)))
    assert "recommended by the rules (not proven here):" in proven
    assert advice.remedy[0].sql in proven
    assert "--prove" not in proven
    unproven = replace(whole, runs=(replace(run, proof=None),))
    text = stress_text(unproven)
    assert "what to do (proven here)" not in text
    assert text.index(advice.remedy[0].sql) < text.index("--prove shows which")
    assert "--prove" not in stress_text(
        replace(unproven, runs=(replace(run, proof=None, causes=()),))
    )
    # there, it stands in what to fix first
    assert performance_text(PerformanceReport(stress=unproven)).count(advice.remedy[0].sql) == 1


def test_what_could_not_be_put_back_is_said() -> None:
    whole = sample_report()
    (run,) = whole.runs
    assert run.proof is not None
    left = replace(run.proof, left_behind=("an index is left",))
    text = stress_text(replace(whole, runs=(replace(run, proof=left),)))
    assert "COULD NOT BE PUT BACK: an index is left" in text


def test_a_ramp_alone_is_not_believed() -> None:
    whole = sample_report()
    run = replace(whole.runs[0], spoilt=(), phases=whole.runs[0].phases[:1])
    whole = replace(whole, runs=(run,))
    assert not whole.is_believable
    text = stress_text(whole)
    assert "Nothing was measured under steady load." in text
    assert "can be believed" not in text
    assert "can be believed" not in stress_html(whole)


def test_times_that_cannot_be_believed_are_labelled_where_they_are_shown() -> None:
    whole = sample_report()
    ramp, steady = whole.runs[0].phases
    assert steady.figures is not None
    spoilt = replace(steady, figures=replace(steady.figures, believed=0))
    whole = replace(whole, runs=(replace(whole.runs[0], phases=(ramp, spoilt)),))
    label = "latency (from when it was due; cannot be believed)"
    assert label in stress_text(whole)
    assert label in stress_html(whole)
    assert label not in stress_text(sample_report())


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0.03, "0.03 ms"), (0.0004, "below 0.001 ms"), (0.456, "0.46 ms"), (1300, "1.3 s")],
)
def test_a_short_time_is_not_rounded_to_nothing(ms: float, text: str) -> None:
    assert fine_duration(ms) == text


def test_a_bound_above_the_limit_does_not_look_like_the_limit() -> None:
    assert fine_share(3 / 2406) == "0.12%"
    assert (fine_share(0.001), fine_share(0.00034), fine_share(0.93)) == ("0.1%", "0.034%", "93%")


def test_a_comparison_without_anything_in_common_says_so() -> None:
    whole = sample_report()
    assert whole.comparison is not None
    whole = replace(whole, comparison=replace(whole.comparison, metrics=()))
    assert "nothing could be compared" in stress_text(whole)
    assert "Nothing could be compared." in stress_html(whole)


def test_one_reason_for_all_percentiles_is_said_once() -> None:
    none = [PercentileFigure(percent=p, ms=None, reason="too few") for p in (50, 95)]
    assert percentiles_words(none) == "p50, p95 unknown (too few)"


def test_no_report_contains_how_to_connect() -> None:
    whole = sample_report()
    (run,) = whole.runs
    ramp, steady = run.phases
    order = replace(steady.blocks[0].order, conninfo="host=db password=planted-secret")
    blocks = tuple(replace(b, order=order) for b in steady.blocks)
    run = replace(run, phases=(ramp, replace(steady, blocks=blocks)))
    whole = replace(whole, runs=(run,))
    assert "planted-secret" not in render_stress(whole)
    assert "planted-secret" not in stress_text(whole, verbose=True)
