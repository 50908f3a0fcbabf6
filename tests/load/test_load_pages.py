"""The page of a load test: what comes first, that it harms nobody, and that it recommends only what may be advice."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import referencing

from pgwatch_wed.findings import Impact, MeasuredTime
from pgwatch_wed.load.load_json import render_performance
from pgwatch_wed.load.load_model import Block, Proven
from pgwatch_wed.load.load_pages.block_chart import block_chart
from pgwatch_wed.load.load_pages.load_fixes import load_fixes
from pgwatch_wed.load.load_pages.load_html import performance_html, stress_html
from pgwatch_wed.load.load_text import performance_text
from pgwatch_wed.load.stress_report import PerformanceReport, ProofStep, ScenarioRun, StressReport
from tests.load.stress_samples import sample_report
from tests.reports import HOSTILE, finding, report

DOCS = Path(__file__).parent.parent.parent / "docs"


def with_run(**changes: object) -> StressReport:
    whole = sample_report()
    (run,) = whole.runs
    return replace(whole, runs=(replace(run, **changes),))  # type: ignore[arg-type]


def analyzed(*, proof: bool = True) -> StressReport:
    analysis = report((finding(),))
    more = {} if proof else {"proof": None}
    return with_run(analysis=analysis, no_analysis="", **more)


def steps(run: ScenarioRun) -> tuple[ProofStep, ...]:
    assert run.proof is not None
    return run.proof.steps


def test_whether_to_believe_it_comes_before_what_to_do() -> None:
    page = stress_html(sample_report())
    order = ["cannot be believed", ">What to do first</h2>", "Where the time went", ">Measured<"]
    places = [page.index(part) for part in order]
    assert places == sorted(places)
    assert page.count("<h1>") == 1
    assert "undefined" not in page.lower()


def test_nothing_is_loaded_and_nothing_runs() -> None:
    page = stress_html(analyzed())
    assert "script-src 'none'" in page.replace("&#39;", "'")
    assert re.findall(r"<script|<link|<img|<iframe| on\w+=| style=", page) == []
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_what_a_server_says_is_text() -> None:
    whole = sample_report()
    hostile = "<script>alert(1)</script>" + HOSTILE
    bad = replace(
        whole,
        target=replace(whole.target, label=hostile, notes=(hostile,), settings={hostile: hostile}),
        runs=(replace(whole.runs[0], errors=(hostile,), ended_early=hostile),),
    )
    page = stress_html(bad)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_what_is_proven_comes_first_and_what_is_refuted_does_not_come() -> None:
    whole = analyzed()
    first, second = load_fixes(whole)
    assert (first.is_proven, second.is_proven) == (True, False)
    (run,) = whole.runs
    assert run.analysis is not None
    (found,) = run.analysis.findings
    refuted = replace(steps(run)[0], result=Proven.REFUTED, findings=(found.id,))
    assert run.proof is not None
    whole = with_run(
        analysis=run.analysis, no_analysis="", proof=replace(run.proof, steps=(refuted,))
    )
    assert load_fixes(whole) == ()
    assert "Nothing is recommended" in stress_html(whole)


def test_a_probe_without_a_remedy_is_never_advice() -> None:
    (run,) = sample_report().runs
    flush = replace(steps(run)[0], probe="synchronous_commit = off", remedy=())
    assert run.proof is not None
    whole = with_run(proof=replace(run.proof, steps=(flush,)), analysis=None)
    assert load_fixes(whole) == ()
    assert "never advice" in stress_html(whole)


def test_what_is_said_of_our_own_tables_is_no_advice() -> None:
    (run,) = analyzed(proof=False).runs
    ours = replace(run, scenario=replace(run.scenario, name="tpcb-like"))
    whole = replace(sample_report(), runs=(ours,))
    assert load_fixes(whole) == ()
    assert "tables of scenarios that come with this tool" in stress_html(whole)
    theirs = analyzed(proof=False)  # scripts of their own, and TARGET itself
    assert load_fixes(theirs) != () != load_fixes(whole, report((finding(),)))
    assert "tables of its own" not in stress_html(theirs)


def test_a_time_longer_than_its_window_is_said_to_be_of_all_sessions() -> None:
    found = finding()
    long = Impact(gain=MeasuredTime(ms=126_000.0, window_seconds=21.0))
    whole = with_run(analysis=report((replace(found, impact=long),)), no_analysis="", proof=None)
    assert [f.gain for f in load_fixes(whole)] == [
        "saves about 2.1 min in 21 s (all sessions together)"
    ]


def test_one_remedy_of_several_scenarios_is_recommended_once() -> None:
    whole = analyzed()
    twice = replace(whole, runs=whole.runs * 2)
    assert len(load_fixes(twice)) == len(load_fixes(whole))


def test_a_course_of_blocks_is_drawn_in_their_order() -> None:
    (run,) = sample_report().runs
    blocks: tuple[Block, ...] = max((p.blocks for p in run.phases), key=len)
    drawn = block_chart(blocks, 10_000_000.0)
    assert drawn is not None
    assert len(drawn.bars) == len(blocks)
    assert [b.x for b in drawn.bars] == sorted(b.x for b in drawn.bars)
    assert drawn.limit_y is None  # far above: the bars would not be seen
    assert [b.is_believed for b in drawn.bars] == [not b.spoilt for b in blocks]
    assert block_chart(blocks[:1]) is None


def test_what_is_doubtful_about_causes_stands_beside_them() -> None:
    whole = sample_report()
    (run,) = whole.runs
    assert run.causes
    assert run.db_time is not None
    doubtful = replace(run, db_time=replace(run.db_time, doubts=("samples missed something",)))
    page = stress_html(replace(whole, runs=(doubtful,)))
    assert '<p class="caveat">samples missed something</p>' in page


@pytest.mark.parametrize("runs", [(), None])
def test_a_run_in_which_nothing_was_measured_has_a_page(runs: tuple[()] | None) -> None:
    whole = sample_report()
    (run,) = whole.runs
    bare = replace(run, phases=(), objectives=(), causes=(), db_time=None, proof=None, knee=None)
    page = stress_html(replace(whole, runs=(bare,) if runs is None else runs, comparison=None))
    assert "Nothing was measured" in page


@pytest.mark.parametrize("has_target", [True, False])
def test_a_report_of_performance_says_what_to_fix_first(has_target: bool) -> None:
    analysis = report((finding(),)) if has_target else None
    whole = PerformanceReport(stress=sample_report(), analysis=analysis)
    page = performance_html(whole)
    assert page.index(">What to do first</h2>") < page.index(">Analysis") < page.index(">Measured<")
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    text = performance_text(whole)
    assert text.startswith("What to fix first\n  1. missing index (proven, transfers)")
    assert ("grade A" in text) is has_target
    assert all(len(line) <= 80 for line in text.splitlines())
    document = json.loads(render_performance(whole))
    performance_schema().validate(document)
    fixes = load_fixes(whole.stress, analysis)
    assert [f["title"] for f in document["fixes"]] == [f.title for f in fixes] != []
    assert [bool(f["remedy"]) for f in document["fixes"]] == [bool(f.remedy) for f in fixes]
    assert (document["analysis"] is not None) is has_target


def performance_schema() -> jsonschema.Draft202012Validator:
    names = ("report.schema.json", "stress.schema.json", "performance.schema.json")
    schemas = [json.loads((DOCS / name).read_text(encoding="utf-8")) for name in names]
    registry = referencing.Registry().with_resources(
        [(s["$id"], referencing.Resource.from_contents(s)) for s in schemas]
    )
    return jsonschema.Draft202012Validator(schemas[-1], registry=registry)
